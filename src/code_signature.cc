// SuperBlob and CodeDirectory, read and written. All their numbers are big-endian, on every machine.
#include "src/code_signature.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "src/parallel.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint32_t kSuperBlob = 0xfade0cc0;
constexpr std::uint32_t kCodeDirectory = 0xfade0c02;

// Slots of the SuperBlob.
constexpr std::uint32_t kSlotCodeDirectory = 0;
constexpr std::uint32_t kSlotEntitlements = 5;
constexpr std::uint32_t kSlotEntitlementsDer = 7;
constexpr std::uint32_t kSlotLastSpecial = 0x100;  // what a special slot's number is below
constexpr std::uint32_t kSlotAlternate = 0x1000;   // further code directories
constexpr std::uint32_t kSlotAlternateEnd = 0x1005;
constexpr std::uint32_t kSlotCms = 0x10000;

constexpr std::uint8_t kSha1 = 1;
constexpr std::uint8_t kSha256 = 2;
constexpr std::size_t kDigest = 32;
constexpr std::size_t kSha1Digest = 20;

constexpr std::uint32_t kVersionTeam = 0x20200;
constexpr std::uint32_t kVersionExecutable = 0x20400;
constexpr std::uint32_t kVersionRuntime = 0x20500;
constexpr std::size_t kSizeFirst = 44;  // of a code directory of the first version
constexpr std::size_t kSizeExecutable = 88;
constexpr std::size_t kSizeRuntime = 96;

constexpr std::uint8_t kSmallestPage = 12;
constexpr std::uint8_t kLargestPage = 16;
constexpr std::uint32_t kMaxBlobs = 64;

constexpr std::uint32_t kParametersVersion = 1;

std::uint32_t Big32(ByteView bytes, std::uint64_t offset) { return bytes.Read<std::uint32_t>(offset, ByteOrder::kBig).value_or(0); }
std::uint64_t Big64(ByteView bytes, std::uint64_t offset) { return bytes.Read<std::uint64_t>(offset, ByteOrder::kBig).value_or(0); }

Status Bad(const std::string& what) { return Malformed(StrCat("code signature: ", what)); }

// A blob of the SuperBlob, with its header.
struct Entry {
  std::uint32_t slot = 0;
  std::uint32_t magic = 0;
  ByteView bytes;
};

Result<std::vector<Entry>> ReadEntries(ByteView bytes) {
  const auto magic = bytes.Read<std::uint32_t>(0, ByteOrder::kBig);
  if (!magic || *magic != kSuperBlob)
    return Bad(StrCat("found magic number ", Hex(magic.value_or(0)), ", expected ", Hex(kSuperBlob)));
  const auto super = bytes.Slice(0, Big32(bytes, 4));
  if (!super || super->size() < 12) return Bad(StrCat("found a length of ", Big32(bytes, 4), ", expected 12 to ", bytes.size()));
  const std::uint32_t count = Big32(*super, 8);
  if (count > kMaxBlobs || !super->Contains(12, count * std::uint64_t{8}))
    return Bad(StrCat("found ", count, " blobs, expected at most ", kMaxBlobs, " in ", super->size(), " bytes"));
  std::vector<Entry> entries;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t offset = Big32(*super, 16 + i * std::uint64_t{8});
    const auto length = super->Read<std::uint32_t>(offset + std::uint64_t{4}, ByteOrder::kBig);
    const auto blob = length && *length >= 8 ? super->Slice(offset, *length) : std::nullopt;
    if (!blob) return Bad(StrCat("blob ", i, ": found offset ", Hex(offset), ", expected a blob within ", super->size(), " bytes"));
    entries.push_back({Big32(*super, 12 + i * std::uint64_t{8}), Big32(*blob, 0), *blob});
  }
  return entries;
}

// The directory with SHA-256 digests, or else the first.
Result<ByteView> ChooseDirectory(const std::vector<Entry>& entries) {
  std::optional<ByteView> chosen;
  for (const Entry& entry : entries) {
    const bool is_directory = entry.slot == kSlotCodeDirectory || (entry.slot >= kSlotAlternate && entry.slot < kSlotAlternateEnd);
    if (!is_directory || entry.magic != kCodeDirectory) continue;
    if (entry.bytes.size() < kSizeFirst) return Bad(StrCat("code directory: found ", entry.bytes.size(), " bytes"));
    if (!chosen || entry.bytes.data()[37] == kSha256) chosen = entry.bytes;
  }
  if (!chosen) return Bad("found no code directory");
  return *chosen;
}

Status ReadIdentifier(ByteView directory, SignatureFacts& facts) {
  const std::uint32_t offset = Big32(directory, 20);
  const std::string_view rest = directory.text().substr(std::min<std::size_t>(offset, directory.size()));
  const std::size_t end = rest.find('\0');
  if (end == std::string_view::npos) return Bad("identifier: found no end of it");
  facts.identifier = rest.substr(0, end);
  return {};
}

// Digests of what is beside the code. Those of SHA-1 are made again of the blobs they are of; where there is no blob
// (Info.plist, a bundle's resources), that is not possible.
Status ReadSpecialSlots(ByteView directory, OldSignature& old) {
  SignatureFacts& facts = old.facts;
  const std::uint32_t hash_offset = Big32(directory, 16);
  const std::uint32_t count = Big32(directory, 24);
  const std::uint8_t type = directory.data()[37];
  const std::size_t size = directory.data()[36];
  if ((type != kSha1 || size != kSha1Digest) && (type != kSha256 || size != kDigest)) {
    if (old.why_not_adhoc.empty()) old.why_not_adhoc = StrCat("its digests are of type ", unsigned{type});
    return {};
  }
  if (count >= kSlotLastSpecial || hash_offset < count * size || hash_offset > directory.size())
    return Bad(StrCat("code directory: found ", count, " special slots before offset ", Hex(hash_offset)));
  facts.special_slots.assign(count * kDigest, 0);
  for (std::uint32_t slot = 1; slot <= count; ++slot) {
    const ByteView digest = *directory.Slice(hash_offset - slot * size, size);
    std::uint8_t* const out = facts.special_slots.data() + (slot - 1) * kDigest;
    const auto blob = std::find_if(facts.blobs.begin(), facts.blobs.end(),
                                   [slot](const SignatureBlob& candidate) { return candidate.slot == slot; });
    if (blob != facts.blobs.end()) {
      const Sha256Digest made = Sha256Of(View(blob->bytes));
      std::memcpy(out, made.bytes.data(), kDigest);
    } else if (type == kSha256) {
      std::memcpy(out, digest.data(), kDigest);
    } else if (!IsAllZero(digest) && old.why_not_adhoc.empty()) {
      old.why_not_adhoc = StrCat("it holds a SHA-1 digest of something beside the file (slot ", slot, ")");
    }
  }
  return {};
}

// Numbers and bytes one after another.
class Writer {
 public:
  explicit Writer(ByteOrder order) : order_(order) {}
  template <typename T>
  void Put(T value) {
    bytes.resize(bytes.size() + sizeof(T));
    StoreInteger<T>(bytes.data() + bytes.size() - sizeof(T), value, order_);
  }
  void Put(ByteView more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

  std::vector<std::uint8_t> bytes;

 private:
  ByteOrder order_;
};

struct Layout {
  std::uint64_t directory_header = 0;
  std::uint64_t hash_offset = 0;  // from the directory's start
  std::uint64_t pages = 0;
  std::uint64_t directory_size = 0;
  std::uint64_t super_header = 0;
  std::uint64_t size = 0;  // of the SuperBlob
};

Layout LayOut(const SignatureFacts& facts, std::uint64_t code_size) {
  Layout layout;
  layout.directory_header = facts.runtime != 0 ? kSizeRuntime : kSizeExecutable;
  layout.hash_offset = layout.directory_header + facts.identifier.size() + 1 + facts.special_slots.size();
  const std::uint64_t page = std::uint64_t{1} << facts.page_shift;
  layout.pages = code_size / page + (code_size % page != 0 ? 1 : 0);
  layout.directory_size = layout.hash_offset + layout.pages * kDigest;
  layout.super_header = 12 + 8 * (1 + facts.blobs.size());
  layout.size = layout.super_header + layout.directory_size;
  for (const SignatureBlob& blob : facts.blobs) layout.size += blob.bytes.size();
  return layout;
}

void PutDirectory(const SignatureFacts& facts, const Layout& layout, std::uint64_t code_size, Writer& out) {
  out.Put(kCodeDirectory);
  out.Put(static_cast<std::uint32_t>(layout.directory_size));
  out.Put(facts.runtime != 0 ? kVersionRuntime : kVersionExecutable);
  out.Put(facts.flags);
  out.Put(static_cast<std::uint32_t>(layout.hash_offset));
  out.Put(static_cast<std::uint32_t>(layout.directory_header));  // the identifier's offset
  out.Put(static_cast<std::uint32_t>(facts.special_slots.size() / kDigest));
  out.Put(static_cast<std::uint32_t>(layout.pages));
  out.Put(static_cast<std::uint32_t>(code_size));
  out.Put(static_cast<std::uint8_t>(kDigest));
  out.Put(kSha256);
  out.Put(facts.platform);
  out.Put(facts.page_shift);
  out.Put(std::uint32_t{0});  // spare
  out.Put(std::uint32_t{0});  // scatter vector: none
  out.Put(std::uint32_t{0});  // team: none
  out.Put(std::uint32_t{0});  // spare
  out.Put(std::uint64_t{0});  // the code's size, were it 4 GiB or more
  out.Put(facts.executable_base);
  out.Put(facts.executable_size);
  out.Put(facts.executable_flags);
  if (facts.runtime != 0) {
    out.Put(facts.runtime);
    out.Put(std::uint32_t{0});  // digests from before encryption: none
  }
  out.Put(ByteView(facts.identifier.c_str(), facts.identifier.size() + 1));
  for (std::size_t slot = facts.special_slots.size() / kDigest; slot > 0; --slot)
    out.Put(ByteView(facts.special_slots.data() + (slot - 1) * kDigest, kDigest));
}

void HashPages(const SignatureFacts& facts, const MappedFile& file, std::uint64_t code_size, unsigned threads, std::uint8_t* out) {
  const std::uint64_t page = std::uint64_t{1} << facts.page_shift;
  constexpr std::uint64_t kGroup = 256;
  const std::uint64_t pages = code_size / page + (code_size % page != 0 ? 1 : 0);
  const std::uint64_t groups = pages / kGroup + (pages % kGroup != 0 ? 1 : 0);
  const Status hashed = ParallelFor(groups, threads, [&](std::uint64_t group) -> Status {
    std::array<ByteView, kGroup> messages;
    std::array<Sha256Digest, kGroup> digests;
    const std::uint64_t first = group * kGroup;
    const std::size_t count = static_cast<std::size_t>(std::min(kGroup, pages - first));
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t at = (first + i) * page;
      messages[i] = *file.bytes().Slice(at, std::min(page, code_size - at));
    }
    Sha256Many(messages.data(), count, digests.data());
    for (std::size_t i = 0; i < count; ++i) std::memcpy(out + (first + i) * kDigest, digests[i].bytes.data(), kDigest);
    file.Release(*file.bytes().Slice(first * page, std::min(count * page, code_size - first * page)));
    return {};
  });
  static_cast<void>(hashed);  // nothing in it can fail
}

}  // namespace

Result<OldSignature> ParseCodeSignature(ByteView bytes) {
  PANNIER_TRY(const std::vector<Entry> entries, ReadEntries(bytes));
  PANNIER_TRY(const ByteView directory, ChooseDirectory(entries));
  OldSignature old;
  SignatureFacts& facts = old.facts;
  const std::uint32_t version = Big32(directory, 8);
  facts.flags = Big32(directory, 12);
  facts.platform = directory.data()[38];
  facts.page_shift = std::clamp(directory.data()[39], kSmallestPage, kLargestPage);
  PANNIER_CHECK_OK(ReadIdentifier(directory, facts));
  if (version >= kVersionTeam && Big32(directory, 48) != 0) old.why_not_adhoc = "it names a developer's team";
  if (version >= kVersionExecutable) {
    facts.executable_base = Big64(directory, 64);
    facts.executable_size = Big64(directory, 72);
    facts.executable_flags = Big64(directory, 80);
  }
  if (version >= kVersionRuntime) facts.runtime = Big32(directory, 88);
  for (const Entry& entry : entries) {
    if (entry.slot == kSlotCms) {
      if (entry.bytes.size() > 8) old.why_not_adhoc = "it is made with a certificate";  // an ad-hoc one may have an empty blob
    } else if (entry.slot > kSlotCodeDirectory && entry.slot < kSlotLastSpecial) {
      facts.blobs.push_back({entry.slot, {entry.bytes.begin(), entry.bytes.end()}});
    }
  }
  std::sort(facts.blobs.begin(), facts.blobs.end(), [](const SignatureBlob& a, const SignatureBlob& b) { return a.slot < b.slot; });
  if (!old.why_not_adhoc.empty()) {
    // Of a real signature only the entitlements make sense without it: requirements name its certificate.
    facts.flags = kSignatureAdhoc;
    facts.runtime = 0;
    const auto is_other = [](const SignatureBlob& blob) {
      return blob.slot != kSlotEntitlements && blob.slot != kSlotEntitlementsDer;
    };
    facts.blobs.erase(std::remove_if(facts.blobs.begin(), facts.blobs.end(), is_other), facts.blobs.end());
  }
  PANNIER_CHECK_OK(ReadSpecialSlots(directory, old));
  if (!old.why_not_adhoc.empty()) {
    facts.flags = kSignatureAdhoc;
    for (std::size_t i = 0; i < facts.special_slots.size() / kDigest; ++i) {
      const bool is_outside = i + 1 == 1 || i + 1 == 3;  // Info.plist, a bundle's resources: they are what they were
      const bool has_blob =
          std::any_of(facts.blobs.begin(), facts.blobs.end(), [i](const auto& blob) { return blob.slot == i + 1; });
      if (!is_outside && !has_blob) std::memset(facts.special_slots.data() + i * kDigest, 0, kDigest);
    }
  }
  facts.flags |= kSignatureAdhoc;
  return old;
}

SignatureFacts NewSignatureFacts(std::string identifier, std::uint64_t text_offset, std::uint64_t text_size) {
  SignatureFacts facts;
  facts.identifier = std::move(identifier);
  facts.flags = kSignatureAdhoc | kSignatureLinker;
  facts.executable_base = text_offset;
  facts.executable_size = text_size;
  return facts;
}

std::uint64_t CodeSignatureSize(const SignatureFacts& facts, std::uint64_t code_size) {
  return AlignUp(LayOut(facts, code_size).size, 16);
}

std::vector<std::uint8_t> MakeCodeSignature(const SignatureFacts& facts, const MappedFile& file, std::uint64_t code_size,
                                            unsigned threads) {
  const Layout layout = LayOut(facts, code_size);
  Writer out(ByteOrder::kBig);
  out.Put(kSuperBlob);
  out.Put(static_cast<std::uint32_t>(layout.size));
  out.Put(static_cast<std::uint32_t>(1 + facts.blobs.size()));
  out.Put(kSlotCodeDirectory);
  out.Put(static_cast<std::uint32_t>(layout.super_header));
  std::uint64_t at = layout.super_header + layout.directory_size;
  for (const SignatureBlob& blob : facts.blobs) {
    out.Put(blob.slot);
    out.Put(static_cast<std::uint32_t>(at));
    at += blob.bytes.size();
  }
  PutDirectory(facts, layout, code_size, out);
  const std::size_t digests = out.bytes.size();
  out.bytes.resize(digests + static_cast<std::size_t>(layout.pages * kDigest));
  HashPages(facts, file, code_size, threads, out.bytes.data() + digests);
  for (const SignatureBlob& blob : facts.blobs) out.Put(View(blob.bytes));
  out.bytes.resize(static_cast<std::size_t>(AlignUp(out.bytes.size(), 16)));
  return std::move(out.bytes);
}

std::vector<std::uint8_t> EncodeSignatureFacts(const SignatureFacts& facts) {
  Writer out(ByteOrder::kLittle);
  out.Put(kParametersVersion);
  out.Put(facts.flags);
  out.Put(std::uint32_t{facts.page_shift});
  out.Put(std::uint32_t{facts.platform});
  out.Put(facts.executable_base);
  out.Put(facts.executable_size);
  out.Put(facts.executable_flags);
  out.Put(facts.runtime);
  out.Put(static_cast<std::uint32_t>(facts.identifier.size()));
  out.Put(static_cast<std::uint32_t>(facts.special_slots.size() / kDigest));
  out.Put(static_cast<std::uint32_t>(facts.blobs.size()));
  out.Put(View(facts.identifier));
  out.Put(View(facts.special_slots));
  for (const SignatureBlob& blob : facts.blobs) {
    out.Put(blob.slot);
    out.Put(static_cast<std::uint32_t>(blob.bytes.size()));
    out.Put(View(blob.bytes));
  }
  return std::move(out.bytes);
}

Result<SignatureFacts> DecodeSignatureFacts(ByteView bytes) {
  constexpr std::size_t kFixed = 56;
  auto word = [&bytes](std::uint64_t offset) { return bytes.Read<std::uint32_t>(offset).value_or(0); };
  auto wide = [&bytes](std::uint64_t offset) { return bytes.Read<std::uint64_t>(offset).value_or(0); };
  auto cut_off = [&bytes] { return Malformed(StrCat("signature facts: found ", bytes.size(), " bytes, expected more")); };
  if (bytes.size() < kFixed) return cut_off();
  if (word(0) != kParametersVersion)
    return Unsupported(StrCat("signature facts: version: found ", word(0), ", expected ", kParametersVersion));
  if (word(8) < kSmallestPage || word(8) > kLargestPage || word(12) > UINT8_MAX || word(48) >= kSlotLastSpecial ||
      word(52) > kMaxBlobs)
    return Malformed("signature facts: found a page size, platform or count out of range");
  SignatureFacts facts;
  facts.flags = word(4);
  facts.page_shift = static_cast<std::uint8_t>(word(8));
  facts.platform = static_cast<std::uint8_t>(word(12));
  facts.executable_base = wide(16);
  facts.executable_size = wide(24);
  facts.executable_flags = wide(32);
  facts.runtime = word(40);
  std::uint64_t at = kFixed;
  const auto identifier = bytes.Slice(at, word(44));
  if (!identifier) return cut_off();
  facts.identifier = identifier->text();
  at += identifier->size();
  const auto slots = bytes.Slice(at, word(48) * kDigest);
  if (!slots) return cut_off();
  facts.special_slots.assign(slots->begin(), slots->end());
  at += slots->size();
  for (std::uint32_t i = 0; i < word(52); ++i) {
    if (!bytes.Contains(at, 8)) return cut_off();
    const auto blob = bytes.Slice(at + 8, word(at + 4));
    if (!blob) return cut_off();
    facts.blobs.push_back({word(at), {blob->begin(), blob->end()}});
    at += 8 + blob->size();
  }
  if (at != bytes.size()) return Malformed(StrCat("signature facts: found ", bytes.size(), " bytes, expected ", at));
  return facts;
}

}  // namespace pannier
