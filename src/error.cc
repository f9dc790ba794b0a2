// The error codes in words.
#include "pannier/error.h"

namespace pannier {

const char* ErrorCodeText(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kOk:
      return "ok";
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kIo:
      return "input or output failed";
    case ErrorCode::kNotABundle:
      return "not a bundle";
    case ErrorCode::kMalformed:
      return "malformed";
    case ErrorCode::kUnsupported:
      return "not supported";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kDigestMismatch:
      return "digest mismatch";
    case ErrorCode::kAlreadyBundle:
      return "already a bundle";
    case ErrorCode::kHostChanged:
      return "host changed";
    case ErrorCode::kLimit:
      return "limit reached";
    case ErrorCode::kLoadFailed:
      return "load failed";
    case ErrorCode::kNoMemory:
      return "out of memory";
    case ErrorCode::kSignature:
      return "signature";
  }
  return "unknown error";
}

}  // namespace pannier
