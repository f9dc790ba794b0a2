// What tests of OutputFile share: two contents, and the ways in which a file is written.
#ifndef PANNIER_TESTS_OUTPUT_FILE_FIXTURE_H_
#define PANNIER_TESTS_OUTPUT_FILE_FIXTURE_H_

#include <fcntl.h>

#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <string>
#include <vector>

#include "embedder/output_file.h"
#include "tests/file_fixture.h"

namespace pannier {

// Create, write, Commit; the message, or "done".
inline std::string Replace(const std::string& target, const std::string& bytes, const FileSource* metadata_from = nullptr) {
  auto output = OutputFile::Create(target, metadata_from);
  if (!output.ok()) return output.status().message();
  Status status = output->WriteAt(0, View(bytes));
  if (status.ok()) status = output->Commit();
  return status.ok() ? "done" : status.message();
}

// Both ways to write: files without a name until Commit, where this file system has them, and files with a temporary name.
inline std::vector<bool> WaysToWrite(const TemporaryDirectory& directory) {
  const FileHandle unnamed(open(directory.path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (unnamed) return {true, false};
  WARN("no unnamed files in " << directory.path() << ": half of this test is left out");
  return {false};
}

// Makes the kernel refuse unnamed files, as many file systems do.
inline bool RefuseUnnamedFiles() { return FailCall(SYS_openat, EOPNOTSUPP, 2, O_TMPFILE); }

inline const std::string kOld = Pattern(70'000, 1);
inline const std::string kNew = Pattern(300'000, 2);

}  // namespace pannier

#endif  // PANNIER_TESTS_OUTPUT_FILE_FIXTURE_H_
