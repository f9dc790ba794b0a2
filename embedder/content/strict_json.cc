// Two passes of nlohmann's parser: one that keeps nothing looks for what is refused, then one that builds. Its own way to do both
// at once, a callback, takes a time that grows with the square of the text.
#include "embedder/content/strict_json.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kDeepest = 32;

// The first thing that is wrong ends the pass.
class Checker : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(Json::number_integer_t /*value*/) override { return true; }
  bool number_unsigned(Json::number_unsigned_t /*value*/) override { return true; }
  bool number_float(Json::number_float_t /*value*/, const std::string& /*text*/) override { return true; }
  bool string(std::string& /*value*/) override { return true; }
  bool binary(Json::binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*size*/) override { return Enter(); }
  bool start_array(std::size_t /*size*/) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }

  bool key(std::string& name) override {
    if (names_.back().insert(name).second) return true;
    status_ = Malformed(StrCat("found \"", Printable(name), "\" twice in one object"));
    return false;
  }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/, const Json::exception& /*error*/) override {
    status_ = Malformed("found something else, expected JSON");
    return false;
  }

  const Status& status() const { return status_; }

 private:
  bool Enter() {
    names_.emplace_back();
    if (names_.size() <= kDeepest) return true;
    status_ = Malformed(StrCat("found it nested deeper than ", kDeepest));
    return false;
  }
  bool Leave() {
    names_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> names_;  // of the members of what is open; an array has none
  Status status_;
};

}  // namespace

Result<Json> ParseStrictJson(std::string_view text) {
  Checker checker;
  if (!Json::sax_parse(text.begin(), text.end(), &checker)) return checker.status();
  return Json::parse(text.begin(), text.end(), nullptr, false);
}

}  // namespace pannier
