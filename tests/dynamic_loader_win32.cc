// The OS's dynamic loader where it is LoadLibrary's.
#include <windows.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>

#include "tests/dynamic_loader.h"

namespace pannier::testing {
namespace {

std::filesystem::path Native(const std::string& path) { return std::filesystem::absolute(std::filesystem::u8path(path)); }

HMODULE ModuleOf(const void* address) {
  HMODULE module = nullptr;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                     static_cast<const wchar_t*>(address), &module);
  return module;
}

}  // namespace

std::string LoadAndUnload(const std::string& path) {
  const HMODULE module = LoadLibraryW(Native(path).c_str());
  if (module == nullptr) return "LoadLibrary: error " + std::to_string(GetLastError());
  return FreeLibrary(module) != 0 ? "" : "FreeLibrary failed";
}

const void* LibraryBase(const void* address) { return ModuleOf(address); }

bool IsLoadedFrom(const void* address, const std::string& path) {
  const HMODULE module = ModuleOf(address);
  wchar_t name[32768];
  std::error_code error;
  return module != nullptr && GetModuleFileNameW(module, name, 32768) != 0 &&
         std::filesystem::equivalent(name, std::filesystem::u8path(path), error);
}

bool IsLoaded(const std::string& path) { return GetModuleHandleW(Native(path).make_preferred().c_str()) != nullptr; }

void EndAfter(unsigned seconds) {
  std::thread([seconds] {
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    std::fprintf(stderr, "nothing happened for %u s\n", seconds);
    std::_Exit(3);
  }).detach();
}

}  // namespace pannier::testing
