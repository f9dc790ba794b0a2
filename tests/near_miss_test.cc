// Near misses: which mistakes are seen through, and which words are left alone.
#include "embedder/near_miss.h"

#include <catch2/catch_test_macros.hpp>

namespace pannier {
namespace {

TEST_CASE("near misses: one slip of a finger") {
  const std::vector<std::string> commands = {"embed", "sign", "digest", "attach", "inspect", "extract", "verify", "restore"};
  CHECK(NearMiss("emebd", commands) == "embed");       // a swap is one slip
  CHECK(NearMiss("insect", commands) == "inspect");    // one left out
  CHECK(NearMiss("verrify", commands) == "verify");    // one too many
  CHECK(NearMiss("restort", commands) == "restore");   // one replaced
  CHECK(NearMiss("VERIFY", commands) == "verify");     // capitals are no slip
  CHECK(NearMiss("xetracct", commands) == "extract");  // two in a word of eight
}

TEST_CASE("near misses: what is like nothing gets no answer") {
  const std::vector<std::string> commands = {"embed", "sign", "digest", "attach", "inspect", "extract", "verify", "restore"};
  CHECK(NearMiss("", commands).empty());
  CHECK(NearMiss("strip", commands).empty());
  CHECK(NearMiss("sing e", commands).empty());
  CHECK(NearMiss("embed", commands).empty());  // it is one of them
  CHECK(NearMiss("p1", {"q2", "r3"}).empty());
  CHECK(NearMiss("p", {"q"}).empty());  // nothing of it would be left
  CHECK(NearMiss("params", {}).empty());
  CHECK(NearMiss(std::string(100000, 'a'), {std::string(100000, 'b')}).empty());
}

TEST_CASE("near misses: the nearest, and of two as near the first") {
  CHECK(NearMiss("params", {"paramsxy", "param", "parms"}) == "param");
  CHECK(NearMiss("--threadss", {"--thread", "--threads"}) == "--threads");
}

TEST_CASE("near misses: the end of a message") {
  CHECK(DidYouMean("param", {"graph", "params"}, "\"") == " (did you mean \"params\"?)");
  CHECK(DidYouMean("--parms", {"--params"}) == " (did you mean --params?)");
  CHECK(DidYouMean("other", {"graph", "params"}).empty());
  CHECK(DidYouMean("para\nm", {"para\nms"}) == " (did you mean para\\x0ams?)");
}

}  // namespace
}  // namespace pannier
