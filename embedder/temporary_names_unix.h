// Names of temporary files, for a signal's handler to remove before the process ends.
#ifndef PANNIER_EMBEDDER_TEMPORARY_NAMES_UNIX_H_
#define PANNIER_EMBEDDER_TEMPORARY_NAMES_UNIX_H_

#include <string>

namespace pannier {

// To be called before the file gets that name in the directory (a descriptor), which is some later try's to remove if there is no
// room.
void RememberTemporary(int directory, const std::string& name);

// It has another name, or none.
void ForgetTemporary(int directory, const std::string& name);

// May be called by a signal's handler.
void RemoveTemporaryFiles();

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_TEMPORARY_NAMES_UNIX_H_
