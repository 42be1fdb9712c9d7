/* A file system, and a machine, that refuse what the variable REFUSE names, separated by spaces. Preloaded into a
   program under test (LD_PRELOAD), so that everything in it meets the refusal: Python, its libraries and ffmpeg.

   fsync-folder   fsync of a folder: EINVAL        fsync          of anything: EINVAL
   link           hard links: EPERM                flock          locks: ENOLCK
   passwd         no entry in passwd               read-only=DIR  below DIR nothing can be written: EROFS
   full=DIR       below DIR no byte can be added: ENOSPC */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Whether a word is refused; with a path, whether some word=DIR names a folder that it is in. */
static int refused(const char *word, const char *path) {
    const char *all = getenv("REFUSE");
    size_t length = strlen(word);
    char absolute[PATH_MAX * 2];
    if (!all) return 0;
    if (path && path[0] != '/') {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(absolute, sizeof absolute, "%s/%s", here, path);
        path = absolute;
    }
    while (*all) {
        size_t size = strcspn(all, " ");
        if (!path && size == length && !strncmp(all, word, size)) return 1;
        if (path && size > length && all[length] == '=' && !strncmp(all, word, length)) {
            const char *folder = all + length + 1;
            size_t n = size - length - 1;
            if (!strncmp(path, folder, n) && (path[n] == '/' || !path[n])) return 1;
        }
        all += size;
        all += *all == ' ';
    }
    return 0;
}

static int fail(int number) {
    errno = number;
    return -1;
}

static int is_full(int descriptor) {
    char link[64], path[PATH_MAX];
    if (!getenv("REFUSE") || !strstr(getenv("REFUSE"), "full=")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return path[0] == '/' && refused("full", path); /* not of a pipe */
}

int fsync(int descriptor) {
    struct stat status;
    if (refused("fsync", NULL)) return fail(EINVAL);
    if (refused("fsync-folder", NULL) && !fstat(descriptor, &status) && S_ISDIR(status.st_mode)) return fail(EINVAL);
    return REAL(fsync)(descriptor);
}

int link(const char *from, const char *to) {
    return refused("link", NULL) ? fail(EPERM) : REAL(link)(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    return refused("link", NULL) ? fail(EPERM) : REAL(linkat)(a, from, b, to, flags);
}

int flock(int descriptor, int operation) {
    extern int flock(int, int);
    return refused("flock", NULL) ? fail(ENOLCK) : REAL(flock)(descriptor, operation);
}

int getpwuid_r(uid_t id, struct passwd *entry, char *buffer, size_t size, struct passwd **result) {
    if (refused("passwd", NULL)) {
        *result = NULL;
        return 0;
    }
    return REAL(getpwuid_r)(id, entry, buffer, size, result);
}

struct passwd *getpwuid(uid_t id) {
    return refused("passwd", NULL) ? NULL : REAL(getpwuid)(id);
}

#define OPENED(path, flags)                                                                                            \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }                                                                                                                  \
    if (((flags) & (O_WRONLY | O_RDWR | O_CREAT)) && refused("read-only", path)) return fail(EROFS)

int open(const char *path, int flags, ...) {
    OPENED(path, flags);
    return REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    OPENED(path, flags);
    return REAL(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    OPENED(path, flags);
    return REAL(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    OPENED(path, flags);
    return REAL(openat64)(folder, path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
    struct stat status;
    if (refused("read-only", path)) return fail(stat(path, &status) ? EROFS : EEXIST);
    return REAL(mkdir)(path, mode);
}

int access(const char *path, int mode) {
    return (mode & W_OK) && refused("read-only", path) ? fail(EROFS) : REAL(access)(path, mode);
}

int unlink(const char *path) {
    return refused("read-only", path) ? fail(EROFS) : REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
    return refused("read-only", to) ? fail(EROFS) : REAL(rename)(from, to);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    return count && is_full(descriptor) ? fail(ENOSPC) : REAL(write)(descriptor, bytes, count);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    return is_full(descriptor) ? fail(ENOSPC) : REAL(writev)(descriptor, parts, count);
}
