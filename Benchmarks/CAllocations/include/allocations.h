#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H

// How often this process has asked glibc for memory.
unsigned long allocations_so_far(void);

#endif
