#pragma once

// The emulator has no __half: code that uses it does not compile.
