// Errors: the stable codes shared by the C++ and the C interface, and the exception the C++ front door throws.
#ifndef PANNIER_ERROR_H_
#define PANNIER_ERROR_H_

#include <stdexcept>
#include <string>

#include "pannier/export.h"

namespace pannier {

// The numbers never change meaning and are the same as PANNIER_ERROR_* in pannier.h. New ones are added at the end.
enum class ErrorCode : int {
  kOk = 0,
  kInvalidArgument = 1,  // the caller asked for something that makes no sense
  kIo = 2,               // the operating system refused to read, write, map or start a thread
  kNotABundle = 3,       // a sound file, but it carries no pannier payload (or lost it)
  kMalformed = 4,        // sizes, offsets or values in the file contradict each other
  kUnsupported = 5,      // valid, but not for this version or this machine
  kNotFound = 6,         // no artifact, tensor or symbol of that name
  kDigestMismatch = 7,   // bytes differ from what their SHA-256 says
  kAlreadyBundle = 8,    // embedding into a bundle without saying so
  kHostChanged = 9,      // strip, patchelf or a signer rewrote the bundle: it cannot be undone
  kLimit = 10,           // a limit of the format was reached
  kLoadFailed = 11,      // the dynamic loader refused the library
  kNoMemory = 12,
  kSignature = 13,  // a signature is missing, wrong or cannot be checked in this build
};

// "not a bundle", "malformed", ...: a few lowercase words, never null.
PANNIER_API const char* ErrorCodeText(ErrorCode code) noexcept;

// what() reads `FILE: WHAT: found X, expected Y`, lowercase, without a full stop.
class PANNIER_EXCEPTION Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace pannier

#endif  // PANNIER_ERROR_H_
