// What the OS's own dynamic loader says of libraries, for test programs on any OS; nothing of pannier's.
#ifndef PANNIER_TESTS_DYNAMIC_LOADER_H_
#define PANNIER_TESTS_DYNAMIC_LOADER_H_

#include <string>

namespace pannier::testing {

// Loads a library and lets go of it again. The loader's words, or "" when all went well.
std::string LoadAndUnload(const std::string& path);

// Where the library that holds the address was loaded, or null.
const void* LibraryBase(const void* address);

// Is the address in the library that was loaded from this file?
bool IsLoadedFrom(const void* address, const std::string& path);

// Is a library of this file loaded at all?
bool IsLoaded(const std::string& path);

// Ends the process some time from now: a library's constructor may wait for ever.
void EndAfter(unsigned seconds);

}  // namespace pannier::testing

#endif  // PANNIER_TESTS_DYNAMIC_LOADER_H_
