// A child process with two pipes: a thread writes to the one, this one reads from the other, and a third ends the child when its
// time is over, which ends both.
#include <windows.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "embedder/run_program.h"
#include "src/text.h"
#include "src/win32.h"

namespace pannier {
namespace {

using win32::Handle;

struct Pipe {
  Handle read;
  Handle write;
};

enum class ChildsEnd : std::uint8_t { kRead, kWrite };

Result<Pipe> MakePipe(ChildsEnd childs_end) {
  HANDLE read = nullptr;
  HANDLE write = nullptr;
  if (CreatePipe(&read, &write, nullptr, 1 << 16) == 0) return win32::SystemError("pipe", GetLastError());
  Pipe made{Handle(read), Handle(write)};
  SetHandleInformation(childs_end == ChildsEnd::kRead ? read : write, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  return made;
}

Result<Handle> Spawn(const std::vector<std::string>& command, const Pipe& input, const Pipe& output) {
  std::array<wchar_t, MAX_PATH> program{};
  PANNIER_TRY(const std::wstring name, win32::WidePath(command[0]));
  // Looked up by ourselves: CreateProcess would take one from the current folder first.
  const DWORD length = SearchPathW(_wgetenv(L"PATH"), name.c_str(), L".exe", MAX_PATH, program.data(), nullptr);
  if (length == 0 || length >= MAX_PATH) return {ErrorCode::kNotFound, StrCat(command[0], " is not installed")};
  std::wstring line;
  for (const std::string& word : command) {
    PANNIER_TRY(const std::wstring wide, win32::WidePath(word));  // words of ours, without quotes or blanks
    line += (line.empty() ? L"" : L" ") + wide;
  }
  STARTUPINFOW startup = {};
  startup.cb = sizeof startup;
  startup.dwFlags = STARTF_USESTDHANDLES;
  startup.hStdInput = input.read.get();
  startup.hStdOutput = output.write.get();
  PROCESS_INFORMATION process = {};
  if (CreateProcessW(program.data(), line.data(), nullptr, nullptr, TRUE, CREATE_NO_WINDOW, nullptr, nullptr, &startup, &process) ==
      0)
    return win32::SystemError(command[0], GetLastError());
  CloseHandle(process.hThread);
  return Handle(process.hProcess);
}

void WriteAll(void* to, std::string_view input) {
  while (!input.empty()) {
    DWORD written = 0;
    const auto step = static_cast<DWORD>(std::min<std::size_t>(input.size(), 1 << 16));
    if (WriteFile(to, input.data(), step, &written, nullptr) == 0) return;  // it wants no more
    input.remove_prefix(written);
  }
}

// Whether all was read.
bool ReadAll(void* from, std::uint64_t most, std::string& output) {
  std::array<char, 65536> buffer;
  DWORD got = 0;
  while (ReadFile(from, buffer.data(), static_cast<DWORD>(buffer.size()), &got, nullptr) != 0 && got != 0) {
    if (output.size() + got > most) return false;
    output.append(buffer.data(), got);
  }
  return true;
}

}  // namespace

Result<std::string> Filter(const std::vector<std::string>& command, std::string_view input, std::uint64_t most,
                           std::chrono::milliseconds patience, const Effort& effort) {
  const auto end = std::chrono::steady_clock::now() + patience;
  PANNIER_TRY(Pipe to, MakePipe(ChildsEnd::kRead));
  PANNIER_TRY(Pipe from, MakePipe(ChildsEnd::kWrite));
  PANNIER_TRY(const Handle process, Spawn(command, to, from));
  to.read = Handle();
  from.write = Handle();
  std::mutex mutex;
  std::condition_variable changed;
  bool is_done = false;
  bool is_late = false;
  std::thread watch([&] {
    std::unique_lock<std::mutex> lock(mutex);
    while (!is_done && std::chrono::steady_clock::now() < end) {
      changed.wait_for(lock, std::chrono::milliseconds(100), [&] { return is_done; });
      effort.Advance(0);
    }
    if (is_done) return;
    is_late = true;
    TerminateProcess(process.get(), 1);
  });
  std::thread writer([&] {
    WriteAll(to.write.get(), input);
    to.write = Handle();
  });
  std::string output;
  const bool is_whole = ReadAll(from.read.get(), most, output);
  if (!is_whole) TerminateProcess(process.get(), 1);
  writer.join();
  {
    const std::lock_guard<std::mutex> lock(mutex);
    is_done = true;
  }
  changed.notify_all();
  watch.join();
  WaitForSingleObject(process.get(), INFINITE);
  DWORD status = 1;
  GetExitCodeProcess(process.get(), &status);
  if (is_late) return {ErrorCode::kIo, StrCat(command[0], ": it took too long")};
  if (!is_whole) return {ErrorCode::kIo, StrCat(command[0], ": it wrote more than ", most, " bytes")};
  if (status != 0) return {ErrorCode::kIo, StrCat(command[0], ": ended with status ", status)};
  return output;
}

}  // namespace pannier
