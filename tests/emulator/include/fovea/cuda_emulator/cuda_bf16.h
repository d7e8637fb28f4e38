#pragma once

// The emulator has no __nv_bfloat16: code that uses it does not compile.
