// Which codec suits a tensor or blob, found by samples of it.
#ifndef PANNIER_EMBEDDER_CONTENT_CODEC_CHOICE_H_
#define PANNIER_EMBEDDER_CONTENT_CODEC_CHOICE_H_

#include <vector>

#include "embedder/content/chunk_encoder.h"
#include "pannier/tensor.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

enum class CodecChoice { kAuto, kStore, kZstd, kPlanes };

// The plan under which the samples are smallest all together, among those that `choice` allows; kStore where none gains. A sample
// of a whole chunk shows best what repeats, since that may be at any distance.
Result<ChunkPlan> ChooseCodec(CodecChoice choice, DataType dtype, const std::vector<ByteView>& samples, ChunkEncoder& encoder);

// The same for a blob, which is stored whole or as a zstd stream.
Result<ChunkPlan> ChooseBlobCodec(CodecChoice choice, const std::vector<ByteView>& samples, ChunkEncoder& encoder);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_CODEC_CHOICE_H_
