// Speed of SHA-256: each kernel, one message and two interleaved, against OpenSSL in the same process.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <vector>

#include "src/sha256.h"
#include "src/sha256_kernels.h"

#if defined(PANNIER_BENCHMARK_OPENSSL)
#include <openssl/evp.h>
#endif

namespace {

constexpr std::size_t kMessage = 64 << 10;  // two of them stay in the L2 cache: the CPU is measured, not the memory
constexpr int kMessagesPerRun = 2;          // a run is shorter than a time slice, so that the best one was not interrupted
constexpr int kRuns = 2000;

struct Contestant {
  const char* name;
  std::function<void()> digest_all;  // kMessagesPerRun messages
  double best_seconds = 1e9;
};

}  // namespace

int main() {
  std::vector<std::uint8_t> bytes(2 * kMessage);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 2654435761U >> 13);
  const pannier::ByteView pair[2] = {{bytes.data(), kMessage}, {bytes.data() + kMessage, kMessage}};

  pannier::Sha256Digest digests[2];
  std::vector<Contestant> contestants;
  const auto add_single = [&](const char* name, const pannier::Sha256Kernel* kernel) {
    contestants.push_back({name, [&pair, &digests, kernel] {
                             pannier::Sha256 sha256(*kernel);
                             for (int i = 0; i < kMessagesPerRun; ++i) {
                               sha256.Update(pair[i % 2]);
                               digests[i % 2] = sha256.Finish();
                             }
                           }});
  };
  const pannier::Sha256Kernel& best = pannier::BestSha256Kernel();
  add_single("best kernel, one message", &best);
  contestants.push_back({"best kernel, Sha256Many", [&] {
                           for (int i = 0; i < kMessagesPerRun; i += 2) pannier::Sha256Many(pair, 2, digests);
                         }});
  add_single("portable kernel", &pannier::PortableSha256Kernel());
#if defined(PANNIER_BENCHMARK_OPENSSL)
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  contestants.push_back({"OpenSSL EVP", [&] {
                           for (int i = 0; i < kMessagesPerRun; ++i) {
                             const pannier::ByteView message = pair[i % 2];
                             EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
                             EVP_DigestUpdate(context, message.data(), message.size());
                             EVP_DigestFinal_ex(context, digests[i % 2].bytes.data(), nullptr);
                           }
                         }});
#endif

  // The best of several runs, and the contestants take turns, so that a busy machine or a change of clock hits all alike.
  for (int run = 0; run < kRuns; ++run) {
    for (Contestant& contestant : contestants) {
      const auto start = std::chrono::steady_clock::now();
      contestant.digest_all();
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      contestant.best_seconds = std::min(contestant.best_seconds, elapsed.count());
    }
  }
#if defined(PANNIER_BENCHMARK_OPENSSL)
  EVP_MD_CTX_free(context);
#endif

  std::printf("best kernel: %s\n", best.name);
  std::printf("%-26s %8s %18s\n", "", "GB/s", "x the first line");
  for (const Contestant& contestant : contestants) {
    const double rate = static_cast<double>(kMessage) * kMessagesPerRun / contestant.best_seconds / 1e9;
    std::printf("%-26s %8.3f %18.2f\n", contestant.name, rate, contestants.front().best_seconds / contestant.best_seconds);
  }
#if defined(PANNIER_BENCHMARK_OPENSSL)
  const double openssl_seconds = contestants.back().best_seconds;
  std::printf("one message, pannier / OpenSSL: %.2f\n", openssl_seconds / contestants[0].best_seconds);
  std::printf("Sha256Many,  pannier / OpenSSL: %.2f\n", openssl_seconds / contestants[1].best_seconds);
#endif
}
