// Result and Status: how functions that can fail answer inside pannier; the caller must look.
#ifndef PANNIER_SRC_RESULT_H_
#define PANNIER_SRC_RESULT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "pannier/error.h"

namespace pannier {

// As large as a pointer, and null where nothing failed, so that handing it on costs little code.
class [[nodiscard]] Status {
 public:
  Status() = default;
  [[gnu::cold]] Status(ErrorCode code, std::string message);
  [[gnu::cold]] Status(const Status& other);
  [[gnu::cold]] Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  bool ok() const { return failure_ == nullptr; }
  ErrorCode code() const { return ok() ? ErrorCode::kOk : failure_->code; }
  const std::string& message() const;

  // Puts `context: ` in front of the message; the file's name is added once, where it is known.
  Status WithContext(const std::string& context) &&;

 private:
  struct Failure {
    ErrorCode code;
    std::string message;
  };
  struct Delete {
    [[gnu::cold]] void operator()(Failure* failure) const noexcept;
  };

  std::unique_ptr<Failure, Delete> failure_;
};

[[gnu::cold]] Status Malformed(std::string message);
[[gnu::cold]] Status Unsupported(std::string message);

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
