// Keeps libfcgi away from descriptors: it reads from memory and writes to memory.
//
// libfcgi reaches the system through functions of its own (fcgios.h), which it calls by name. Of two definitions of a name
// the dynamic linker takes the program's, and so this one's OS_Read and OS_Write.
#ifndef SESSION_GATEWAY_CFASTCGIMEMORY_H
#define SESSION_GATEWAY_CFASTCGIMEMORY_H

#include <stddef.h>

/// What libfcgi is given where it wants a descriptor. None has this number: whatever else it does with it, closing for
/// example, fails with EBADF.
enum { CFASTCGI_NO_DESCRIPTOR = 0x7fffffff };

struct cfastcgi_input {
    const unsigned char *bytes;
    size_t count;
};

/// What libfcgi reads, one piece behind the other, and where it writes to.
struct cfastcgi_memory {
    struct cfastcgi_input input[2];
    unsigned char *output;
    size_t output_capacity;
    size_t output_count;
};

/// Has libfcgi's calls on this thread read from and write to this memory, until the next call of this function; NULL is
/// the state in which every read finds nothing (EAGAIN) and every write fails. What does not fit into the output fails.
void cfastcgi_use_memory(struct cfastcgi_memory *memory);

#endif
