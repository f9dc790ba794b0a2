// What `inspect`, `view` and `diff` know: libraries, graphs, values, memory, differences; and how they put it.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "embedder/run_program.h"
#include "embedder/view/code_diff.h"
#include "embedder/view/graph_diff.h"
#include "embedder/view/graph_layout.h"
#include "embedder/view/graph_model.h"
#include "embedder/view/library_facts.h"
#include "embedder/view/page.h"
#include "embedder/view/tensor_values.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

// x -> nop -> dense (with p0) -> relu, a graph as relay.build writes it.
Json SmallGraph() {
  const auto call = [](const char* name, const char* function, const char* hash, const Json& inputs) {
    return Json{{"op", "tvm_op"}, {"name", name}, {"attrs", {{"func_name", function}, {"hash", hash}}}, {"inputs", inputs}};
  };
  return {{"nodes",
           {{{"op", "null"}, {"name", "x"}, {"inputs", Json::array()}},
            call("reshape_nop", "__nop", "a", {{0, 0, 0}}),
            {{"op", "null"}, {"name", "p0"}, {"inputs", Json::array()}},
            call("tvmgen_default_fused_nn_dense", "tvmgen_default_fused_nn_dense", "b", {{1, 0, 0}, {2, 0, 0}}),
            call("tvmgen_default_fused_nn_relu_1", "tvmgen_default_fused_nn_relu_1", "c", {{3, 0, 0}})}},
          {"arg_nodes", {0, 2}},
          {"heads", {{4, 0, 0}}},
          {"node_row_ptr", {0, 1, 2, 3, 4, 5}},
          {"attrs",
           {{"dltype", {"list_str", {"float32", "float32", "float32", "float32", "float32"}}},
            {"shape", {"list_shape", {{1, 10}, {10}, {10, 20}, {1, 20}, {1, 20}}}},
            {"storage_id", {"list_int", {0, 0, 1, 2, 3}}}}}};
}

GraphModel Parsed(const Json& json) {
  Result<GraphModel> graph = ParseGraph(json.dump());
  INFO(graph.status().message());
  REQUIRE(graph.ok());
  return *graph;
}

TEST_CASE("a graph is read as relay.build writes it", "[view]") {
  const GraphModel graph = Parsed(SmallGraph());
  REQUIRE(graph.nodes.size() == 5);
  CHECK(graph.nodes[3].function == "tvmgen_default_fused_nn_dense");
  CHECK(OperatorName(graph.nodes[3]) == "nn_dense");
  CHECK(OperatorName(graph.nodes[4]) == "nn_relu");
  CHECK(OperatorName(graph.nodes[0]) == "x");
  CHECK(graph.nodes[1].is_nop());
  REQUIRE(graph.nodes[2].outputs.size() == 1);
  CHECK(graph.nodes[2].outputs[0].bytes == 800);
  CHECK(graph.nodes[2].outputs[0].storage == 1);
}

TEST_CASE("sizes of entries follow from types and shapes, or are not known", "[view]") {
  const auto bytes_of = [](const char* dtype, const Json& shape) {
    Json json = SmallGraph();
    json["attrs"]["dltype"][1][0] = dtype;
    json["attrs"]["shape"][1][0] = shape;
    return Parsed(json).nodes[0].outputs[0].bytes;
  };
  CHECK(bytes_of("bool", {3}) == 3);
  CHECK(bytes_of("float16x4", {2}) == 16);
  CHECK(bytes_of("float8_e4m3fn", {5}) == 5);
  CHECK(bytes_of("int4", {5}) == 5);
  CHECK(bytes_of("uint1", Json::array()) == 1);
  CHECK(bytes_of("float32", {0, 7}) == 0);
  CHECK_FALSE(bytes_of("float32", {-1}));
  CHECK_FALSE(bytes_of("handle", {1}));
  CHECK_FALSE(bytes_of("", {1}));
  CHECK_FALSE(bytes_of("float32x", {1}));
  CHECK_FALSE(bytes_of("float64", {INT64_MAX, INT64_MAX}));
}

TEST_CASE("a graph that is none, or a hostile one, is refused", "[view]") {
  const auto refused = [](const std::string& text) { return ParseGraph(text).status().message(); };
  CHECK(refused("") == "graph: found something else, expected JSON");
  CHECK(refused("[]") == R"(graph: expected "nodes", as a graph executor's graph has them)");
  CHECK(refused(R"({"nodes": 3})") == R"(graph: expected "nodes", as a graph executor's graph has them)");
  CHECK(refused(R"({"nodes": [7]})") == R"(graph: node 0: expected an object with "op")");
  for (const Json& inputs : {Json{{9, 0, 0}}, Json{{-1, 0, 0}}, Json{{0}}, Json{"x"}, Json(3), Json{{0.5, 0, 0}}}) {
    Json json = SmallGraph();
    json["nodes"][4]["inputs"] = inputs;
    CHECK(ParseGraph(json.dump()).status().code() == ErrorCode::kMalformed);
  }
  for (const Json& rows : {Json{0, 1}, Json{0, 1, 2, 3, 4, 3}, Json{0, 1, 2, 3, 4, 99999999}, Json{1, 1, 2, 3, 4, 5}, Json("x")}) {
    Json json = SmallGraph();
    json["node_row_ptr"] = rows;
    CHECK(ParseGraph(json.dump()).status().code() == ErrorCode::kMalformed);
  }
}

const std::vector<bool> kThirdIsParam = {false, false, true, false, false};

TEST_CASE("memory: inputs and results are there all the time, others from first to last use, parameters apart", "[view]") {
  Json json = SmallGraph();
  const auto plan = PlanOfMemory(Parsed(json), kThirdIsParam);
  REQUIRE(plan);
  // x 40 bytes, dense 80 from its own step on, relu 80, which is the result.
  CHECK(plan->params == 800);
  CHECK(plan->pool == 200);
  CHECK(plan->storages.size() == 3);
  CHECK(plan->live == std::vector<std::uint64_t>{40, 40, 40, 120, 200});
  CHECK(plan->peak == 200);
  // relu in place: one storage less.
  json["attrs"]["storage_id"][1][4] = 2;
  CHECK(PlanOfMemory(Parsed(json), kThirdIsParam)->peak == 120);
  json["attrs"].erase("storage_id");
  CHECK_FALSE(PlanOfMemory(Parsed(json), kThirdIsParam));
}

TEST_CASE("memory: what nobody has is no plan", "[view]") {
  Json json = SmallGraph();
  for (const std::size_t i : {0U, 1U, 3U, 4U}) json["attrs"]["shape"][1][i] = {INT64_MAX / 4};
  CHECK_FALSE(PlanOfMemory(Parsed(json), kThirdIsParam));
}

TEST_CASE("groups: parameters and nops go with their function", "[view]") {
  const GraphModel graph = Parsed(SmallGraph());
  const GraphGroups groups = GroupNodes(graph, kThirdIsParam);
  CHECK(groups.kinds ==
        std::vector<NodeKind>{NodeKind::kInput, NodeKind::kNop, NodeKind::kParam, NodeKind::kFunction, NodeKind::kFunction});
  CHECK(groups.groups[2] == 3);
  CHECK_FALSE(groups.groups[1]);  // it only looks at an input
  CHECK(groups.collapsed_edges == std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 3}, {3, 4}});
}

TEST_CASE("layouts: every node is placed within the drawing, one below those it takes from", "[view]") {
  const GraphModel graph = Parsed(SmallGraph());
  const GraphGroups groups = GroupNodes(graph, kThirdIsParam);
  const std::vector<std::string> labels(5, "label");
  for (const Placing placing : {Placing::kRank, Placing::kGraphviz}) {
    const GraphLayouts layouts = LayOut(graph, groups, labels, placing);
    // Where Graphviz is not there, it says so, and ranks are used; nothing else may keep it from being used.
    CAPTURE(layouts.note);
    CHECK((layouts.note.empty() || layouts.note.find("is not installed") != std::string::npos));
    CHECK(layouts.collapsed.boxes.size() == 3);
    CHECK(layouts.collapsed.edges.size() == 2);
    CHECK(layouts.expanded.edges.size() == 4);
    REQUIRE(layouts.expanded.boxes.size() == 5);
    std::array<double, 5> heights{};
    for (const GraphLayout::Box& box : layouts.expanded.boxes) {
      heights[box.node] = box.y;
      CHECK(box.x - box.width / 2 >= -0.01);
      CHECK(box.x + box.width / 2 <= layouts.expanded.width + 0.01);
    }
    CHECK(heights[0] < heights[1]);
    CHECK(heights[1] < heights[3]);
    CHECK(heights[2] < heights[3]);
    CHECK(heights[3] < heights[4]);
  }
}

Json Compared(const Json& a, const Json& b) { return CompareGraphs(Parsed(a), Parsed(b)); }

TEST_CASE("graphs compared: equal, renamed, rewired, added, removed, attributes", "[view]") {
  const Json before = SmallGraph();
  CHECK(Compared(before, before)["equal"] == 5);

  Json after = before;
  after["nodes"][3]["name"] = after["nodes"][3]["attrs"]["func_name"] = "tvmgen_default_fused_nn_dense_7";
  Json diff = Compared(before, after);
  REQUIRE(diff["changed"].size() == 1);
  CHECK(diff["changed"][0]["changes"][0] ==
        Json{{"what", "name"}, {"a", "tvmgen_default_fused_nn_dense"}, {"b", "tvmgen_default_fused_nn_dense_7"}});
  CHECK(diff["added"].empty());

  after = before;
  after["nodes"][4]["inputs"] = {{1, 0, 0}};
  diff = Compared(before, after);
  REQUIRE(diff["changed"].size() == 1);
  CHECK(diff["changed"][0]["changes"] ==
        Json{{{"what", "inputs"}, {"a", {"tvmgen_default_fused_nn_dense"}}, {"b", {"reshape_nop"}}}});

  after = before;
  after["nodes"][4]["attrs"]["weight_layout"] = "NC8n";
  diff = Compared(before, after);
  CHECK(diff["changed"][0]["changes"] == Json{{{"what", "attribute weight_layout"}, {"a", nullptr}, {"b", "NC8n"}}});

  after = before;
  after["nodes"].push_back({{"op", "tvm_op"}, {"name", "tvmgen_default_fused_nn_softmax"}, {"inputs", {{4, 0, 0}}}});
  after["node_row_ptr"].push_back(6);
  after["heads"] = {{5, 0, 0}};
  diff = Compared(before, after);
  CHECK(diff["added"] == Json{{{"name", "tvmgen_default_fused_nn_softmax"}, {"operator", "nn_softmax"}}});
  CHECK(diff["heads_changed"] == true);
  CHECK(Compared(after, before)["removed"] == diff["added"]);

  after = before;
  after["attrs"]["storage_id"][1][4] = 2;
  diff = Compared(before, after);
  CHECK(diff["equal"] == 5);
  CHECK(diff["storage_changed"] == 1);
}

double Value(DataType dtype, std::uint64_t bits) {
  const ValueDecoder decode = DecoderOf(dtype);
  REQUIRE(decode != nullptr);
  return decode(bits);
}

TEST_CASE("values of DLPack's types", "[view]") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(Value({0, 8, 1}, 0xff) == -1);
  CHECK(Value({0, 4, 1}, 0xf8) == -8);
  CHECK(Value({1, 4, 1}, 0xf8) == 8);
  CHECK(Value({0, 64, 1}, UINT64_MAX) == -1);
  CHECK(Value({1, 64, 1}, UINT64_MAX) == 18446744073709551615.0);
  CHECK(Value({1, 1, 1}, 1) == 1);
  CHECK(Value({6, 8, 1}, 1) == 1);
  CHECK(Value({2, 32, 1}, 0x3fc00000) == 1.5);
  CHECK(Value({2, 64, 1}, 0x3ff8000000000000) == 1.5);
  CHECK(Value({2, 16, 1}, 0x3e00) == 1.5);
  CHECK(Value({2, 16, 1}, 0x0001) == std::ldexp(1.0, -24));
  CHECK(Value({2, 16, 1}, 0xfc00) == -kInfinity);
  CHECK(std::isnan(Value({2, 16, 1}, 0x7e00)));
  CHECK(Value({4, 16, 1}, 0xbfc0) == -1.5);
  // ml_dtypes' finfo: greatest and least positive normal values.
  CHECK(Value({8, 8, 1}, 0x77) == 240);  // e4m3
  CHECK(Value({8, 8, 1}, 0x78) == kInfinity);
  CHECK(Value({10, 8, 1}, 0x7e) == 448);  // e4m3fn
  CHECK(std::isnan(Value({10, 8, 1}, 0xff)));
  CHECK(Value({11, 8, 1}, 0x7f) == 240);  // e4m3fnuz
  CHECK(std::isnan(Value({11, 8, 1}, 0x80)));
  CHECK(Value({9, 8, 1}, 0x7f) == 30);      // e4m3b11fnuz
  CHECK(Value({7, 8, 1}, 0x6f) == 15.5);    // e3m4
  CHECK(Value({12, 8, 1}, 0x7b) == 57344);  // e5m2
  CHECK(Value({13, 8, 1}, 0x7f) == 57344);  // e5m2fnuz
  CHECK(Value({14, 8, 1}, 0x80) == 2);      // e8m0fnu
  CHECK(std::isnan(Value({14, 8, 1}, 0xff)));
  CHECK(Value({17, 4, 1}, 0x7) == 6);  // e2m1fn
  CHECK(Value({17, 4, 1}, 0xff) == -6);
  for (const DataType unknown :
       {DataType{3, 64, 1}, DataType{5, 64, 1}, DataType{2, 80, 1}, DataType{0, 24, 1}, DataType{99, 8, 1}, DataType{8, 16, 1}})
    CHECK(DecoderOf(unknown) == nullptr);
}

TEST_CASE("values below a byte are packed where there is no byte for each", "[view]") {
  const std::array<std::uint8_t, 2> bytes = {0x21, 0xf3};
  std::vector<std::uint64_t> values;
  const auto read = [&](ValueLayout layout) {
    values.clear();
    std::uint64_t left = layout.count;
    ForEachValue(View(bytes), layout.width, left, [&](std::uint64_t bits) { values.push_back(bits & 15); });
    return values;
  };
  CHECK(read(LayoutOf({1, 4, 1}, {3}, 2)) == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(read(LayoutOf({1, 4, 1}, {2}, 2)) == std::vector<std::uint64_t>{1, 3});
  CHECK(LayoutOf({2, 16, 4}, {3}, 24).count == 12);
  CHECK(LayoutOf({1, 1, 1}, {8}, 8).width == 8);
  CHECK(LayoutOf({2, 32, 1}, {INT64_MAX, INT64_MAX}, 16).count == 4);  // no more than there is
}

// A library of one code section at `address`, with functions one after another.
struct FakeLibrary {
  std::vector<std::uint8_t> code;
  LibraryFacts facts;

  FakeLibrary(std::string machine, std::uint64_t address,
              const std::vector<std::pair<std::string, std::vector<std::uint8_t>>>& functions) {
    facts.machine = std::move(machine);
    for (const auto& [name, body] : functions) code.insert(code.end(), body.begin(), body.end());
    facts.sections.push_back({".text", address, 0, code.size(), code.size(), true});
    std::size_t at = 0;
    for (const auto& [name, body] : functions) {
      LibraryFunction function;
      function.name = name;
      function.address = address + at;
      function.size = body.size();
      function.bytes = ByteView(code.data() + at, body.size());
      facts.functions.push_back(function);
      at += body.size();
    }
  }
};

Json CompareFunctions(const FakeLibrary& a, const FakeLibrary& b) {
  return CompareLibraries(a.facts, View(a.code), b.facts, View(b.code))["functions"];
}

// call rel32; ret
std::vector<std::uint8_t> CallX86(std::int32_t distance) {
  std::vector<std::uint8_t> code = {0xe8, 0, 0, 0, 0, 0xc3};
  std::memcpy(code.data() + 1, &distance, 4);
  return code;
}

TEST_CASE("code that only moved is no change; another target is one", "[view]") {
  const std::vector<std::uint8_t> nops(16, 0x90);
  const std::vector<std::uint8_t> more(32, 0x90);
  // caller at 0, callee at 6 + filler
  const FakeLibrary before("x86-64", 0x1000,
                           {{"caller", CallX86(6 + 16 - 5)}, {"filler", nops}, {"callee", {0xc3}}, {"other", {0xc3}}});
  const FakeLibrary moved("x86-64", 0x1000,
                          {{"caller", CallX86(6 + 32 - 5)}, {"filler", more}, {"callee", {0xc3}}, {"other", {0xc3}}});
  const FakeLibrary elsewhere("x86-64", 0x1000,
                              {{"caller", CallX86(6 + 32 - 5 + 1)}, {"filler", more}, {"callee", {0xc3}}, {"other", {0xc3}}});
  Json functions = CompareFunctions(before, moved);
  CHECK(functions["moved"] == 1);
  REQUIRE(functions["changed"].size() == 1);
  CHECK(functions["changed"][0] == Json{{"name", "filler"}, {"a_bytes", 16}, {"b_bytes", 32}});
  functions = CompareFunctions(before, elsewhere);
  CHECK(functions["changed"].size() == 2);
  CHECK(functions["moved"] == 0);
}

TEST_CASE("the same of 64-bit Arm: branches, page addresses, and what is neither", "[view]") {
  const auto words = [](std::initializer_list<std::uint32_t> list) {
    std::vector<std::uint8_t> bytes;
    for (const std::uint32_t word : list) {
      for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<std::uint8_t>(word >> (8 * i)));
    }
    return bytes;
  };
  constexpr std::uint32_t kRet = 0xd65f03c0, kNop = 0xd503201f, kBranchLink = 0x94000000, kAdrp = 0x90000000, kAdd = 0x91000000,
                          kMovz = 0x52800000;
  const FakeLibrary before("aarch64", 0x1000,
                           {{"caller", words({kBranchLink + 3, kRet})}, {"filler", words({kNop})}, {"callee", words({kRet})}});
  const FakeLibrary moved("aarch64", 0x1000,
                          {{"caller", words({kBranchLink + 4, kRet})}, {"filler", words({kNop, kNop})}, {"callee", words({kRet})}});
  const FakeLibrary wrong("aarch64", 0x1000,
                          {{"caller", words({kBranchLink + 3, kRet})}, {"filler", words({kNop, kNop})}, {"callee", words({kRet})}});
  CHECK(CompareFunctions(before, moved)["moved"] == 1);
  CHECK(CompareFunctions(before, moved)["changed"].size() == 1);
  CHECK(CompareFunctions(before, wrong)["moved"] == 0);  // the same bytes: equal
  CHECK(CompareFunctions(before, wrong)["equal"] == 2);
  const auto one = [&](std::uint32_t a, std::uint32_t b) {
    return CompareFunctions(FakeLibrary("aarch64", 0x1000, {{"f", words({a})}}),
                            FakeLibrary("aarch64", 0x1000, {{"f", words({b})}}))["moved"] == 1;
  };
  CHECK(one(kAdrp, kAdrp + 0x20));
  CHECK_FALSE(one(kAdrp, kAdrp + 1));  // another register
  CHECK(one(kAdd, kAdd + 0x400));
  CHECK_FALSE(one(kMovz, kMovz + 0x20));  // another constant
  CHECK_FALSE(one(kBranchLink, kRet));
}

TEST_CASE("functions of one name are told apart, added and removed ones named", "[view]") {
  const FakeLibrary a("riscv64", 0, {{"f", {1}}, {"f", {2}}, {"gone", {3, 3}}});
  const FakeLibrary b("riscv64", 0, {{"f", {1}}, {"f", {9}}, {"new", {3}}});
  const Json functions = CompareFunctions(a, b);
  CHECK(functions["equal"] == 1);
  CHECK(functions["changed"][0]["name"] == "f #2");
  CHECK(functions["removed"] == Json{{{"name", "gone"}, {"bytes", 2}}});
  CHECK(functions["added"] == Json{{{"name", "new"}, {"bytes", 1}}});
}

TEST_CASE("sizes that no symbol tells reach to the next function, or to the section's end", "[view]") {
  LibraryFacts facts;
  facts.sections.push_back({".text", 0x100, 0, 0x50, 0x50, true});
  const std::vector<std::uint8_t> code(0x50);
  for (const auto& [name, address, size] : std::vector<std::tuple<std::string, std::uint64_t, std::uint64_t>>{
           {"b", 0x120, 0}, {"a", 0x100, 0}, {"alias", 0x120, 0}, {"sized", 0x130, 4}, {"outside", 0x900, 0}, {"a", 0x100, 0}}) {
    LibraryFunction function;
    function.name = name;
    function.address = address;
    function.size = size;
    function.bytes = ByteView(code.data(), address < 0x150 ? 0x150 - address : 0);
    facts.functions.push_back(function);
  }
  SortFunctions(facts);
  std::vector<std::pair<std::string, std::uint64_t>> sizes;
  for (const LibraryFunction& function : facts.functions) sizes.emplace_back(function.name, function.size);
  CHECK(sizes == std::vector<std::pair<std::string, std::uint64_t>>{
                     {"a", 0x20}, {"alias", 0x10}, {"b", 0x10}, {"sized", 4}, {"outside", 0}});
}

TEST_CASE("a page holds what is not trusted as data alone", "[view]") {
  const PageSources sources = {
      "<title>@TITLE@</title><meta content=\"@CSP@\"><style>@STYLE@</style>@DATA@<script>@SCRIPT@</script> a@b @", "p{}", "run()"};
  const std::string page = MakePage(sources, "<b>&\"' @SCRIPT@",
                                    {{"name", "</script><!--<img src=x onerror=x>&amp; @STYLE@"}, {"bad", "\xff\xe2\x80\xa8"}});
  CHECK(page.find("<title>&lt;b&gt;&amp;&quot;&#39; @SCRIPT@</title>") == 0);
  CHECK(page.find(
            R"({"bad":"\ufffd\u2028","name":"\u003c/script\u003e\u003c!--\u003cimg src=x onerror=x\u003e\u0026amp; @STYLE@"})") !=
        std::string::npos);
  // Of "run()" and "p{}", by Python's hashlib and base64.
  CHECK(page.find("script-src 'sha256-AvyuiL0SD1mVY3NNxR+V2uo+lhk6RMFrytWmRt6CrJQ='") != std::string::npos);
  CHECK(page.find("style-src 'sha256-gG2yISYereRMiG2lMXrbiUgi0Ubw9p7QCeWcroOvy9Y='") != std::string::npos);
  CHECK(page.find("<script>run()</script> a@b @") != std::string::npos);
  CHECK(page.find("default-src 'none'") != std::string::npos);
}

TEST_CASE("another program filters within bounds", "[view]") {
  using namespace std::chrono_literals;
  const std::string much(3 << 20, 'x');  // more than a pipe holds, both ways at once
  const Result<std::string> same = Filter({"cat"}, much, 4 << 20, 60s);
  REQUIRE(same.ok());
  CHECK(*same == much);
  CHECK(Filter({"cat"}, "", 10, 60s).value().empty());
  CHECK(Filter({"head", "-c", "3"}, much, 10, 60s).value() == "xxx");  // which reads no more than that
  CHECK(Filter({"pannier-has-no-such-program"}, "", 10, 60s).status().code() == ErrorCode::kNotFound);
  CHECK(Filter({"false"}, "", 10, 60s).status().message() == "false: ended with status 1");
  CHECK(Filter({"cat"}, much, 10, 60s).status().message() == "cat: it wrote more than 10 bytes");
  CHECK(Filter({"sleep", "100"}, "", 10, 50ms).status().message() == "sleep: it took too long");
}

}  // namespace
}  // namespace pannier
