// What all formats say where a host cannot get another exported symbol.
#ifndef PANNIER_EMBEDDER_FORMATS_NEW_SYMBOL_H_
#define PANNIER_EMBEDDER_FORMATS_NEW_SYMBOL_H_

#include <string_view>

#include "src/result.h"
#include "src/text.h"

namespace pannier {

inline Status NoNewSymbol(std::string_view why) { return Unsupported(StrCat("no symbol can be added: ", why)); }

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_NEW_SYMBOL_H_
