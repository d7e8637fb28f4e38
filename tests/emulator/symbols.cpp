#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>

#include "fovea/core/check.h"
#include "traffic.h"

namespace fovea::emulator {
namespace {

/// The functions of this program by address, from its own file: kernels are not visible to the loader.
std::map<uintptr_t, std::string> read_functions() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::map<uintptr_t, std::string> functions;
  ElfW(Ehdr) header;
  if (bytes.size() < sizeof(header)) return functions;
  std::memcpy(&header, bytes.data(), sizeof(header));
  uintptr_t base = 0;
  // The first object is the program.
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        *static_cast<uintptr_t*>(result) = info->dlpi_addr;
        return 1;
      },
      &base);
  const auto section = [&](size_t number) {
    ElfW(Shdr) found;
    std::memcpy(&found, bytes.data() + header.e_shoff + number * sizeof(found), sizeof(found));
    return found;
  };
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const ElfW(Shdr) symbols = section(i);
    if (symbols.sh_type != SHT_SYMTAB) continue;
    const char* names = bytes.data() + section(symbols.sh_link).sh_offset;
    for (size_t at = 0; at < symbols.sh_size; at += sizeof(ElfW(Sym))) {
      ElfW(Sym) symbol;
      std::memcpy(&symbol, bytes.data() + symbols.sh_offset + at, sizeof(symbol));
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC) {
        functions.emplace(base + symbol.st_value, names + symbol.st_name);
      }
    }
  }
  return functions;
}

/// Namespaces are no news, and parameters are those of the kernel.
std::string shortened(std::string name) {
  for (const char* space : {"fovea::kernels::cuda::", "(anonymous namespace)::", "fovea::", "void "}) {
    for (size_t at = name.find(space); at != std::string::npos; at = name.find(space)) {
      name.erase(at, std::strlen(space));
    }
  }
  int depth = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth == 0) return name.substr(0, i);
  }
  return name;
}

}  // namespace

std::string name_of_function(const void* function) {
  static const auto* functions = new std::map<uintptr_t, std::string>(read_functions());
  const auto found = functions->find(reinterpret_cast<uintptr_t>(function));
  if (found == functions->end()) return str(function);
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(found->second.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? shortened(demangled.get()) : found->second;
}

const char* name_of_kernel(const void* kernel) {
  static auto* mutex = new std::mutex;
  static auto* names = new std::map<const void*, std::string>;
  const std::lock_guard lock(*mutex);
  const auto [found, is_new] = names->try_emplace(kernel);
  if (is_new) found->second = name_of_function(kernel);
  return found->second.c_str();
}

}  // namespace fovea::emulator
