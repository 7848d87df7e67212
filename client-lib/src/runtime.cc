// What the compiler may ask of libstdc++, which libplugind does without.
#include <cstddef>
#include <cstdlib>

// The slot of a pure virtual function; nothing here calls one while an object is being built.
extern "C" [[noreturn]] void __cxa_pure_virtual() { std::abort(); }

// nghttp2's hash table has a printer for its developers that names stderr in a way a shared library
// cannot.  Nothing calls it, and link.sh renames that one reference to this.
extern "C" {
void* pdi_unused_stderr = nullptr;
}
