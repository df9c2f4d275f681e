/* Read-only FUSE file system that shows a directory in its own place, waits before each
 * request, and counts the requests: a file server with one thread. It does not count when
 * a directory is opened or a file closed, for which NFS 3 has no requests.
 * usage: slow_fs DIRECTORY MICROSECONDS COUNTS [FUSE OPTION...]
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int top;
static useconds_t delay;
static long metadata, reads;
static const char *counts;

static const char *below(const char *path) { return path[1] ? path + 1 : "."; }
static void request(long *count) {
    ++*count;
    usleep(delay);
}
static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *file) {
    request(&metadata);
    return fstatat(top, below(path), st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}
static int read_link(const char *path, char *text, size_t size) {
    request(&metadata);
    ssize_t n = readlinkat(top, below(path), text, size - 1);
    if (n < 0) return -errno;
    text[n] = 0;
    return 0;
}
static int read_directory(const char *path, void *buffer, fuse_fill_dir_t fill, off_t at,
                          struct fuse_file_info *file, enum fuse_readdir_flags flags) {
    request(&metadata);
    int fd = openat(top, below(path), O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) return -errno;
    for (struct dirent *entry; (entry = readdir(dir));)
        fill(buffer, entry->d_name, NULL, 0, 0);
    closedir(dir);
    return 0;
}
static int open_file(const char *path, struct fuse_file_info *file) {
    request(&metadata);
    int fd = openat(top, below(path), O_RDONLY);
    if (fd < 0) return -errno;
    file->fh = fd;
    file->keep_cache = 1;
    return 0;
}
static int read_file(const char *path, char *data, size_t size, off_t at,
                     struct fuse_file_info *file) {
    request(&reads);
    ssize_t n = pread(file->fh, data, size, at);
    return n < 0 ? -errno : (int)n;
}
static int release_file(const char *path, struct fuse_file_info *file) {
    return close(file->fh);
}
static void *start(struct fuse_conn_info *connection, struct fuse_config *config) {
    /* The caches of an NFS client: 3 s by default. */
    config->entry_timeout = config->negative_timeout = config->attr_timeout = 3;
    config->use_ino = 1;
    return NULL;
}
static void end(void *data) {
    FILE *file = fopen(counts, "w");
    if (!file) {
        perror(counts);
        return;
    }
    fprintf(file, "{\"metadata\": %ld, \"reads\": %ld}\n", metadata, reads);
    fclose(file);
}
int main(int argc, char **argv) {
    static const struct fuse_operations operations = {
        .getattr = get_attributes, .readlink = read_link, .readdir = read_directory,
        .open = open_file, .read = read_file, .release = release_file,
        .init = start, .destroy = end,
    };
    top = open(argv[1], O_RDONLY | O_DIRECTORY);
    delay = atoi(argv[2]);
    counts = argv[3];
    char *arguments[argc + 2];
    int n = 0;
    arguments[n++] = argv[0];
    arguments[n++] = argv[1];
    arguments[n++] = "-s";
    for (int i = 4; i < argc; i++) arguments[n++] = argv[i];
    arguments[n] = NULL;
    return fuse_main(n, arguments, &operations, NULL);
}
