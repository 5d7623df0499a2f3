#include "CFastCGIMemory.h"

#include <errno.h>
#include <fcgios.h>
#include <string.h>

static _Thread_local struct cfastcgi_memory *memory;

void cfastcgi_use_memory(struct cfastcgi_memory *used) { memory = used; }

int OS_Read(int descriptor, char *buffer, size_t length)
{
    (void)descriptor;
    size_t done = 0;
    for (int i = 0; memory != NULL && i < 2 && done < length; i++) {
        size_t rest = length - done;
        size_t count = memory->input[i].count < rest ? memory->input[i].count : rest;
        if (count == 0) continue;
        memcpy(buffer + done, memory->input[i].bytes, count);
        memory->input[i].bytes += count;
        memory->input[i].count -= count;
        done += count;
    }
    if (done > 0) return (int)done;
    errno = EAGAIN;
    return -1;
}

int OS_Write(int descriptor, char *buffer, size_t length)
{
    (void)descriptor;
    if (memory == NULL || length > memory->output_capacity - memory->output_count) {
        errno = ENOSPC;
        return -1;
    }
    memcpy(memory->output + memory->output_count, buffer, length);
    memory->output_count += length;
    return (int)length;
}
