/* A library as TVM's export_library makes one of a graph executor's factory: the blob of modules, written down byte by byte. */

#define BYTE(value, i) (unsigned char)((unsigned long long)(value) >> (8 * (i)) & 255)
#define LITTLE32(value) \
  { BYTE(value, 0), BYTE(value, 1), BYTE(value, 2), BYTE(value, 3) }
#define LITTLE64(value) \
  { BYTE(value, 0), BYTE(value, 1), BYTE(value, 2), BYTE(value, 3), BYTE(value, 4), BYTE(value, 5), BYTE(value, 6), BYTE(value, 7) }
#define GRAPH "{\"nodes\": []}"
#define TENSOR(dimensions) LITTLE64(0xDD5E40F096B4A13F), LITTLE64(0), LITTLE32(1), LITTLE32(0), LITTLE32(dimensions)

typedef unsigned char Word[8];

/* All members are bytes, so nothing is between them. */
struct TensorStart {
  Word magic, reserved;
  unsigned char device_type[4], device_id[4], dimensions[4], dtype[4];
};

struct Blob {
  Word size, entries;
  Word key_size;
  char key[20];
  Word graph_size;
  char graph[sizeof(GRAPH) - 1];
  Word tensors, names;
  Word weight_name_size;
  char weight_name[6];
  Word none_name_size;
  char none_name[4];
  Word count_name_size;
  char count_name[5];
  struct TensorStart weight;
  Word weight_shape[1], weight_size;
  unsigned char weight_data[12];
  struct TensorStart none;
  Word none_shape[2], none_size;
  struct TensorStart count;
  Word count_size;
  unsigned char count_data[8];
  Word name_size;
  char name[7];
  Word library_size;
  char library[4];
  Word tree_size;
  char tree[12];
  Word row_count, rows[3], child_count, children[1];
};

// TVM's name for it. NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
__attribute__((visibility("default"))) const struct Blob __tvm_dev_mblob = {
    LITTLE64(sizeof(struct Blob) - sizeof(Word)),
    LITTLE64(3),
    LITTLE64(20),
    "GraphExecutorFactory",
    LITTLE64(sizeof(GRAPH) - 1),
    GRAPH,
    LITTLE64(3),
    LITTLE64(3),
    LITTLE64(6),
    "weight",
    LITTLE64(4),
    "none",
    LITTLE64(5),
    "count",
    {TENSOR(1), {2, 32, 1, 0}},
    {LITTLE64(3)},
    LITTLE64(12),
    {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F}, /* 1, -2, 0.5 */
    {TENSOR(2), {2, 32, 1, 0}},
    {LITTLE64(4), LITTLE64(0)},
    LITTLE64(0),
    {TENSOR(0), {0, 64, 1, 0}},
    LITTLE64(8),
    LITTLE64(1234567890123),
    LITTLE64(7),
    "default",
    LITTLE64(4),
    "_lib",
    LITTLE64(12),
    "_import_tree",
    LITTLE64(3),
    {LITTLE64(0), LITTLE64(1), LITTLE64(1)},
    LITTLE64(1),
    {LITTLE64(1)},
};

__attribute__((visibility("default"))) int Answer(void) { return 42; }
