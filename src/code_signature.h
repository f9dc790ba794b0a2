// Code signature: what a Mach-O file's embedded signature says, and an ad-hoc one made anew over changed bytes.
// Source: Apple's xnu (osfmk/kern/cs_blobs.h); ad hoc means digests alone, with no certificate.
#ifndef PANNIER_SRC_CODE_SIGNATURE_H_
#define PANNIER_SRC_CODE_SIGNATURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/bytes.h"
#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

// A blob beside the code directory: requirements, entitlements.
struct SignatureBlob {
  std::uint32_t slot = 0;
  std::vector<std::uint8_t> bytes;  // with its own header
};

// All of a signature that does not follow from the file's bytes.
struct SignatureFacts {
  std::string identifier;
  std::uint32_t flags = 0;
  std::uint8_t page_shift = 12;  // 4 KiB
  std::uint8_t platform = 0;
  std::uint64_t executable_base = 0;  // __TEXT in the file
  std::uint64_t executable_size = 0;
  std::uint64_t executable_flags = 0;
  std::uint32_t runtime = 0;  // of the hardened runtime; 0: none
  std::vector<std::uint8_t>
      special_slots;                 // digests of what is beside the code (Info.plist, entitlements): 32 bytes each, slot 1 first
  std::vector<SignatureBlob> blobs;  // by ascending slot
};

struct OldSignature {
  SignatureFacts facts;       // what an ad-hoc signature keeps of it
  std::string why_not_adhoc;  // it holds what cannot be made again (a certificate's signature); empty when it is ad hoc
};

inline constexpr std::uint32_t kSignatureAdhoc = 0x2;
inline constexpr std::uint32_t kSignatureLinker = 0x20000;

// Reads the signature at the end of __LINKEDIT.
Result<OldSignature> ParseCodeSignature(ByteView bytes);

// What the linker would say of an unsigned file.
SignatureFacts NewSignatureFacts(std::string identifier, std::uint64_t text_offset, std::uint64_t text_size);

// The size of the signature of `code_size` bytes; a multiple of 16.
std::uint64_t CodeSignatureSize(const SignatureFacts& facts, std::uint64_t code_size);

// The signature of a file's first `code_size` bytes; its digests are made by `threads` threads (0: one for each processor).
std::vector<std::uint8_t> MakeCodeSignature(const SignatureFacts& facts, const MappedFile& file, std::uint64_t code_size,
                                            unsigned threads);

// The facts as `Derived.parameters` keeps them. docs/format.md, "Derived bytes".
std::vector<std::uint8_t> EncodeSignatureFacts(const SignatureFacts& facts);
Result<SignatureFacts> DecodeSignatureFacts(ByteView bytes);

}  // namespace pannier

#endif  // PANNIER_SRC_CODE_SIGNATURE_H_
