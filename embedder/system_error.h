// SystemError: what the system says of a call that failed, as a message of ours.
#ifndef PANNIER_EMBEDDER_SYSTEM_ERROR_H_
#define PANNIER_EMBEDDER_SYSTEM_ERROR_H_

#include <string>
#include <string_view>

#include "src/result.h"

namespace pannier {

// "no such file or directory": the system's words for an error number, in lowercase.
std::string SystemErrorText(int error);

// `what: no such file or directory`
Status SystemError(std::string_view what, int error);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_SYSTEM_ERROR_H_
