// OutputFile: writes a new file beside its target and puts it in the target's place in one step.
#ifndef PANNIER_EMBEDDER_OUTPUT_FILE_H_
#define PANNIER_EMBEDDER_OUTPUT_FILE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "embedder/file_source.h"
#include "src/bytes.h"
#include "src/effort.h"
#include "src/result.h"

namespace pannier {

// Until Commit succeeds the target is untouched; without Commit, or if it fails, nothing is left behind. A process that maps or
// runs the old file keeps it.
//
// While it is written the file has no name where the file system allows that (O_TMPFILE), so a killed process leaves nothing,
// either. Elsewhere, and for the instant between naming the file and renaming it onto an existing target (Linux has no call
// that does both), it is called `.TARGET.pannier-XXXXXX`. Such a name left by a killed process is removed by the next Create
// for the same target; a lock tells it from one that is in use. Signals that a program can handle need not leave any
// (embedder/temporary_names_unix.h).
class OutputFile {
 public:
  // A target that exists keeps its mode, owner, access control list and other extended attributes. What cannot be kept is
  // refused at Commit; a target with several hard links, or that is no regular file, at once. Symbolic links are followed: they
  // stay, and the file they lead to is replaced or made.
  //
  // A new target takes those of `metadata_from`, as far as the user's rights and the file system allow, but never loses an
  // access control list; if null, it gets what any new file gets. If `metadata_from` was opened by the name `target`, the file
  // of that name must still be the one that was opened.
  static Result<OutputFile> Create(const std::string& target, const FileSource* metadata_from);

  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile() { Discard(); }

  const std::string& target() const { return target_; }  // as Create was given it

  // From several threads at a time, if the ranges do not overlap.
  Status WriteAt(std::uint64_t offset, ByteView bytes);
  Status CopyFrom(const FileSource& source, std::uint64_t source_offset, std::uint64_t offset, std::uint64_t size,
                  const Effort& effort = 1);
  // With room for all of it, where the file system can promise that: on a full disk, a hole that is read through a mapping ends in
  // SIGBUS.
  Status Truncate(std::uint64_t size);

  // Lets the system begin to write the range to the disk, so that Commit has less to wait for.
  void StartWriteback(std::uint64_t offset, std::uint64_t size);

  // To check what was written before Commit. The path is good as long as this object lives and Commit was not called.
  int fd() const { return file_.get(); }
  std::string path_for_reading() const;

  // Metadata, sync, then the name. Refused if the target was replaced, removed, made or written to since Create. To be called
  // once, after all writing.
  Status Commit();

 private:
  OutputFile() = default;
  Status OpenTemporary();
  Status KeepMetadata();
  Status KeepAttributes();
  Status TakePlace();
  void ForgetName();
  void Discard();

  std::string target_;
  FileHandle directory_;  // closed once committed or discarded
  std::string directory_path_;
  std::string name_;            // of the target, in directory_
  std::string temporary_name_;  // in directory_; empty while the file has no name
  FileHandle file_;
  FileHandle metadata_;                // what to take mode, owner and attributes from; none: the system's defaults
  std::optional<FileFacts> replaced_;  // the target at Create; none: there was no such file
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_OUTPUT_FILE_H_
