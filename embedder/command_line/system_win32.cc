// The command line's system calls on Windows.
#include <fcntl.h>
#include <io.h>
#include <windows.h>
// windows.h has to come first.
#include <shellapi.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "embedder/command_line/system.h"
#include "src/text.h"
#include "src/win32.h"

namespace pannier {

void PrepareProcess() {
  _setmode(_fileno(stdout), _O_BINARY);
  SetConsoleOutputCP(CP_UTF8);
}

std::vector<std::string> Arguments(int argc, char** argv) {
  int count = 0;
  const std::unique_ptr<wchar_t*, decltype(&LocalFree)> words(CommandLineToArgvW(GetCommandLineW(), &count), &LocalFree);
  if (words == nullptr) return {argv, argv + argc};
  std::vector<std::string> arguments;
  for (int i = 0; i < count; ++i) arguments.push_back(win32::ToUtf8(words.get()[i]));
  return arguments;
}

bool StderrIsTerminal() {
  const HANDLE handle = GetStdHandle(STD_ERROR_HANDLE);
  DWORD mode = 0;
  return GetConsoleMode(handle, &mode) != 0 && SetConsoleMode(handle, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0;
}

std::optional<std::size_t> StdoutWidth() {
  const HANDLE handle = GetStdHandle(STD_OUTPUT_HANDLE);
  DWORD mode = 0;
  if (GetConsoleMode(handle, &mode) == 0) return std::nullopt;
  SetConsoleMode(handle, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
  CONSOLE_SCREEN_BUFFER_INFO info{};
  const bool is_known = GetConsoleScreenBufferInfo(handle, &info) != 0 && info.srWindow.Right >= info.srWindow.Left;
  return is_known ? static_cast<std::size_t>(info.srWindow.Right - info.srWindow.Left + 1) : 80;
}

Status WriteToStdout(ByteView bytes) {
  const HANDLE handle = GetStdHandle(STD_OUTPUT_HANDLE);
  while (!bytes.empty()) {
    DWORD written = 0;
    const auto step = static_cast<DWORD>(std::min<std::size_t>(bytes.size(), 1 << 20));
    if (WriteFile(handle, bytes.data(), step, &written, nullptr) == 0) return win32::SystemError("stdout", GetLastError());
    bytes = ByteView(bytes.data() + written, bytes.size() - written);
  }
  return {};
}

// Source: Microsoft, "Naming Files, Paths, and Namespaces".
Status CheckFileName(std::string_view name) {
  auto refuse = [&](std::string_view why) -> Status {
    return {ErrorCode::kInvalidArgument,
            StrCat("artifact \"", Printable(name), "\": no file on Windows can be called so (", why, "); extract it with -o -")};
  };
  const std::size_t at = name.find_first_of("<>:\"/\\|?*");
  if (at != std::string_view::npos) return refuse(name.substr(at, 1));
  if (name.empty() || name.back() == '.' || name.back() == ' ') return refuse("it ends in a dot or a blank");
  // Devices, in every folder and with any suffix.
  std::string device(name.substr(0, name.find('.')));
  while (!device.empty() && device.back() == ' ') device.pop_back();
  for (char& letter : device) letter = static_cast<char>(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
  for (const std::string_view reserved : {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) {
    if (device == reserved) return refuse("a device");
  }
  // The digits 1, 2 and 3 also raised.
  const std::string_view port = std::string_view(device).substr(0, 3);
  const std::string_view number = std::string_view(device).substr(port.size());
  if ((port == "COM" || port == "LPT") && ((number.size() == 1 && number[0] >= '0' && number[0] <= '9') || number == "\xC2\xB9" ||
                                           number == "\xC2\xB2" || number == "\xC2\xB3")) {
    return refuse("a device");
  }
  return {};
}

}  // namespace pannier
