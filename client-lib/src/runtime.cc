// What the compiler may ask of libstdc++, which libplugind does without.
#include <cstdlib>
#include <string_view>

// The slot of a pure virtual function; nothing here calls one while an object is being built.
extern "C" [[noreturn]] void __cxa_pure_virtual() { std::abort(); }

#if defined(__GLIBCXX__)
// Without optimisation string_view keeps the check of a position that is never out of range.
void std::__throw_out_of_range_fmt(const char*, ...) { std::abort(); }
#endif

// nghttp2's hash table has a printer for its developers that names stderr in a way a shared library
// cannot.  Nothing calls it, and link.sh renames that one reference to this.
extern "C" {
void* pdi_unused_stderr = nullptr;
}
