/* The shared library's allocator: malloc, with the reserve behind it. Nothing here is called by name: the linker's --wrap option
 * sends the library's own calls, and those of Swift's runtime within it, to __wrap_malloc and so on. */
#ifndef MARTLET_ALLOCATION_WRAPPERS_H
#define MARTLET_ALLOCATION_WRAPPERS_H
#endif
