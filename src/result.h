// Result and Status: how functions that can fail answer inside pannier; the caller must look.
#ifndef PANNIER_SRC_RESULT_H_
#define PANNIER_SRC_RESULT_H_

#include <optional>
#include <string>
#include <utility>

#include "pannier/error.h"

namespace pannier {

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == ErrorCode::kOk; }
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // Puts `context: ` in front of the message; the file's name is added once, where it is known.
  Status WithContext(const std::string& context) && {
    if (!ok()) message_.insert(0, context + ": ");
    return std::move(*this);
  }

 private:
  ErrorCode code_ = ErrorCode::kOk;
  std::string message_;
};

inline Status Malformed(std::string message) { return {ErrorCode::kMalformed, std::move(message)}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor): reads as return value
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor): reads as return error
  Result(ErrorCode code, std::string message) : status_(code, std::move(message)) {}

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  Status&& TakeStatus() { return std::move(status_); }
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

  Result WithContext(const std::string& context) && {
    if (!ok()) status_ = std::move(status_).WithContext(context);
    return std::move(*this);
  }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace pannier

#define PANNIER_CONCAT_INNER_(a, b) a##b
#define PANNIER_CONCAT_(a, b) PANNIER_CONCAT_INNER_(a, b)

// PANNIER_TRY(auto x, F()): x is F()'s value, or the function returns F()'s error.
#define PANNIER_TRY(lhs, expression) PANNIER_TRY_(PANNIER_CONCAT_(result_, __COUNTER__), lhs, expression)
#define PANNIER_TRY_(result, lhs, expression)   \
  auto result = (expression);                   \
  if (!result.ok()) return result.TakeStatus(); \
  lhs = std::move(*result)

// The function returns the expression's error, if it is one.
#define PANNIER_CHECK_OK(expression) PANNIER_CHECK_OK_(PANNIER_CONCAT_(status_, __COUNTER__), expression)
#define PANNIER_CHECK_OK_(status, expression)                                 \
  do {                                                                        \
    if (::pannier::Status status = (expression); !status.ok()) return status; \
  } while (false)

#endif  // PANNIER_SRC_RESULT_H_
