// What `--help` and the manual pages say of each command beyond its options.
//
// Text that stands at the left is description; "Name:" begins a section, whose text is indented by two columns, what is to be shown
// as it is by four, and "N  text" is an item (embedder/command_line/manual.cc).
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_TEXTS_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_TEXTS_H_

namespace pannier {

inline constexpr const char* kExitStatusText = R"(

Exit status:
  0  Done.
  1  A check failed (verify), or something differs (diff).
  2  Refused, with the reason on stderr, and nothing was written; or stdout
     failed, when all else was done.)";

inline constexpr const char* kPannierText = R"(A model compiled by TVM comes out as three things: a native library, a graph
as JSON and parameters. Pannier puts graph and parameters into the library, as
sections that are mapped with it; the bundle is one file, and still an
ordinary library. A loader in C++, with a C interface, reads them back where
the model runs.

Examples:
  One file to ship, checked, looked into, and taken apart again:
    pannier embed lib.so --graph graph.json --params params.bin -o model.so
    pannier verify model.so
    pannier inspect model.so
    pannier extract model.so -o parts
    pannier restore model.so -o lib.so)";

inline constexpr const char* kEmbedText = R"(HOST is an ELF, Mach-O or PE shared library. Its bytes stay where they are but
for about a hundred, which are remembered: `pannier restore` puts them back.
Tensors are kept one by one, compressed without loss where that saves
something. The file is replaced in one step: whoever has the old one open
keeps it.

Examples:
  A bundle beside its library:
    pannier embed lib.so --graph graph.json --params params.bin -o model.so

  With labels, signed, and to be mapped without any decoding:
    pannier embed lib.so --graph graph.json --params params.bin \
        --artifact labels=labels.txt --codec store --sign key.pem -o model.so

  For a program with TVM 0.8 to 0.19, which then needs nothing else:
    pannier embed lib.so --graph graph.json --params params.bin \
        --as-factory -o model.so)";

inline constexpr const char* kInspectText = R"(What the library is, what embedding changed in it, who signed, then functions,
artifacts, and each tensor with type, shape and what it takes in the file. Also
of what TVM's own export_library made. The fields of --json are described in
docs/json.md.

Examples:
  The largest tensors of all whose names end in _weight:
    pannier inspect model.so --sort size --filter '*_weight' --top 10

  Is the signature right?
    pannier inspect model.so --key team.pub.pem

  Names and types of all tensors:
    pannier inspect model.so --json | jq '.artifacts[].tensors[]?')";

inline constexpr const char* kViewText = R"(One HTML file that needs nothing else and loads nothing: the graph to walk in,
where the bytes of the file are, each tensor's values, memory over the order of
execution. Graphviz lays the graph out where its program dot is installed.

Examples:
  A page beside the bundle:
    pannier view model.so -o model.html)";

inline constexpr const char* kDiffText = R"(Functions of the library (those whose code only moved count as equal), nodes of
the graph, tensors with how far their values are apart, other artifacts, codecs
and signatures. Bundles may be of different formats.

Examples:
  What did this week's build change?
    pannier diff last-week.so model.so

  As a page, and for a script:
    pannier diff last-week.so model.so --html changes.html
    pannier diff last-week.so model.so --json | jq .params.changed)";

inline constexpr const char* kExtractText = R"(The artifact "graph" becomes STEM.json and "params" STEM.params, where STEM is
the bundle's name without its ending; others keep their names. Each is compared
with its digest before its file gets a name. Also of what TVM's own
export_library made.

Params may become a file of NumPy's (npz) or safetensors, instead. Types that
NumPy does not have (bfloat16, float8) are saved in npz as ml_dtypes does it,
as bytes: array.view(ml_dtypes.bfloat16). What the format cannot hold is
refused. Safetensors has large elements first, so that each is aligned.

Examples:
  All of them, into a folder, which is made:
    pannier extract model.so -o parts

  The graph alone, to another program:
    pannier extract model.so graph -o - | jq .nodes

  Parameters for NumPy, as parts/model.npz:
    pannier extract model.so params --as npz -o parts)";

inline constexpr const char* kVerifyText = R"(Every byte of a bundle is covered by a digest, is zero, or follows from the
others; what differs is named. With keys, those must have signed the digests.

Examples:
  Is it whole, and by whom?
    pannier verify model.so --key team.pub.pem

  After strip, which rewrites the file but not what the OS maps of it:
    pannier verify --image model.so)";

inline constexpr const char* kSignText = R"(The signature goes into a room that the bundle has for it: nothing else of the
file changes. The bundle is verified first. One by the same key is replaced.

Examples:
  A key, and a bundle signed with it:
    openssl genpkey -algorithm ed25519 -out key.pem
    openssl pkey -in key.pem -pubout -out key.pub.pem
    pannier sign model.so --key key.pem

  Beside the file, for OpenSSF model signing's tools (a P-256 key):
    pannier sign model.so --key key.pem --detached)";

inline constexpr const char* kDigestText = R"(What a key that cannot be had as a file (in a token, a cloud's service, on
another machine) has to sign; `pannier attach` takes the signature.

Examples:
  Signed elsewhere, by OpenSSL for instance:
    pannier digest model.so > bytes
    openssl pkeyutl -sign -rawin -inkey key.pem -in bytes -out signature
    pannier attach model.so signature --key key.pub.pem)";

inline constexpr const char* kAttachText = R"(The signature is checked with the public key before it goes in, and the bundle
is verified.

Examples:
  What `pannier digest` printed, signed by another program:
    pannier attach model.so signature --key key.pub.pem)";

inline constexpr const char* kRestoreText = R"(Refused where strip, patchelf or a signer rewrote the bundle: what it was
before cannot be told from it.

Examples:
  The library as the compiler made it:
    pannier restore model.so -o lib.so)";

inline constexpr const char* kCompletionText = R"(Packages install what this prints. It completes commands, options, their
values, and names of files.

Examples:
  For this shell alone:
    source <(pannier completion bash)

  For every shell of this user:
    pannier completion fish > ~/.config/fish/completions/pannier.fish)";

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_TEXTS_H_
