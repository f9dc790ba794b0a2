// Status: what is known of a failure, kept where it does not weigh on the code that succeeds.
#include "src/result.h"

namespace pannier {

Status::Status(ErrorCode code, std::string message) {
  if (code != ErrorCode::kOk) failure_.reset(new Failure{code, std::move(message)});
}

Status::Status(const Status& other) : Status(other.code(), other.message()) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) *this = Status(other);
  return *this;
}

void Status::Delete::operator()(Failure* failure) const noexcept { delete failure; }

const std::string& Status::message() const {
  static const std::string none;
  return ok() ? none : failure_->message;
}

Status Status::WithContext(const std::string& context) && {
  if (!ok()) failure_->message.insert(0, context + ": ");
  return std::move(*this);
}

Status Malformed(std::string message) { return {ErrorCode::kMalformed, std::move(message)}; }
Status Unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

}  // namespace pannier
