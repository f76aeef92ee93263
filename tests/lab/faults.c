/* Loaded into a node before libc: a slow disk, a wall clock that is elsewhere, and an end at a named step, as a control file says.
   The file is mapped, so that a case changes its mind while the node runs. What it holds is described in faults.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { NO_STEP, STEP_WRITE, STEP_SYNC, STEP_RENAME };
enum { BEFORE, HALFWAY, AFTER };

struct control {
    int64_t clock_offset_ms;
    uint64_t delay_ms;
    uint64_t step, countdown, moment;
    uint64_t delayed;
    char step_path[80];
    char slow_path[80];
};

static volatile struct control *control;

static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fdatasync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CAROM_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) control = map;
}

static int names(int file, const volatile char *part) {
    char link[64], path[512];
    if (!part[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, (const char *)part) != NULL;
}

static void delay(int file) {
    if (!control || !control->delay_ms || !names(file, control->slow_path)) return;
    __sync_fetch_and_add(&control->delayed, 1);
    /* In slices, so that the disk is quick again as soon as the case says so. */
    struct timespec slice = {0, 5 * 1000 * 1000};
    for (uint64_t waited_ms = 0; waited_ms < control->delay_ms; waited_ms += 5) nanosleep(&slice, NULL);
}

/* Whether this is the call at which the node is to end. */
static int is_last(uint64_t step) {
    if (!control || control->step != step || !control->countdown) return 0;
    return __sync_sub_and_fetch(&control->countdown, 1) == 0;
}

static void end(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int is_step(uint64_t step, int file) {
    return control && control->step == step && names(file, control->step_path);
}

ssize_t write(int file, const void *bytes, size_t count) {
    delay(file);
    int last = is_step(STEP_WRITE, file) && is_last(STEP_WRITE);
    if (last && control->moment == BEFORE) end();
    if (last && control->moment == HALFWAY) count /= 2;
    ssize_t written = real_write(file, bytes, count);
    if (last) end();
    return written;
}

int fdatasync(int file) {
    delay(file);
    int last = is_step(STEP_SYNC, file) && is_last(STEP_SYNC);
    if (last && control->moment == BEFORE) end();
    int result = real_fdatasync(file);
    if (last) end();
    return result;
}

int rename(const char *from, const char *to) {
    int last = control && control->step == STEP_RENAME && strstr(to, (const char *)control->step_path) && is_last(STEP_RENAME);
    if (last && control->moment == BEFORE) end();
    int result = real_rename(from, to);
    if (last) end();
    return result;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real_clock_gettime) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock_gettime(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && control) {
        int64_t ns = time->tv_nsec + control->clock_offset_ms % 1000 * 1000000;
        time->tv_sec += control->clock_offset_ms / 1000 + (ns < 0 ? -1 : ns / 1000000000);
        time->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
    }
    return result;
}
