/* Preloaded into a process, this moves its time of day, and nothing else, by the seconds in a file: a signed number of eight bytes
 * in the file that SHIFT_CLOCK names, read anew at each look at the clock. Clocks that only count on are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

typedef int (*look)(clockid_t, struct timespec *);

static look real;
static const volatile int64_t *shift;

__attribute__((constructor)) static void begin(void) {
    real = (look)dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("SHIFT_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
        shift = page == MAP_FAILED ? NULL : page;
    }
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (!real)
        begin();
    int outcome = real(id, now);
    if (outcome == 0 && shift && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *shift;
    return outcome;
}
