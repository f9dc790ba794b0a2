// PANNIER_API: which names the loader's library shows, in static and shared builds. For C and C++.
#ifndef PANNIER_EXPORT_H_
#define PANNIER_EXPORT_H_

// Nothing needs to be defined to use the library, static or shared. PANNIER_BUILDING_SHARED is for its own build;
// PANNIER_USING_SHARED saves a jump for each call into a DLL. In a static library the names stay as hidden as the compiler is told,
// so that a shared library that links it does not show them as its own.
#if defined(_WIN32)
#if defined(PANNIER_BUILDING_SHARED)
#define PANNIER_API __declspec(dllexport)
#elif defined(PANNIER_USING_SHARED)
#define PANNIER_API __declspec(dllimport)
#else
#define PANNIER_API
#endif
#define PANNIER_EXCEPTION
#else
#if defined(PANNIER_BUILDING_SHARED)
#define PANNIER_API __attribute__((visibility("default")))
#else
#define PANNIER_API
#endif
// A type that is thrown must be one type on both sides of a library's border, however each side is compiled.
#define PANNIER_EXCEPTION __attribute__((visibility("default")))
#endif

#endif  // PANNIER_EXPORT_H_
