/* libcuda.so.1 of a host that variables describe: DRIVER (12040), DEVICES, MODE, FAIL. */
#include <stdlib.h>
#include <string.h>

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

/* Numbers of CUDA_VISIBLE_DEVICES up to the first one that does not exist, as CUDA does. */
static int visible(int *devices) {
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    int all = number("DEVICES", 2), count = 0;
    if (!text) {
        for (; count < all; count++) devices[count] = count;
        return count;
    }
    while (*text >= '0' && *text <= '9') {
        int device = strtol(text, (char **)&text, 10);
        if (device >= all) break;
        devices[count++] = device;
        if (*text == ',') text++;
    }
    return count;
}

int cuInit(unsigned flags) {
    int devices[64], code = number("FAIL", 0);
    if (code < 0) abort();
    return code ? code : visible(devices) ? 0 : 100;
}
int cuDriverGetVersion(int *version) { *version = number("DRIVER", 12040); return 0; }
int cuDeviceGetCount(int *count) { int devices[64]; *count = visible(devices); return 0; }
int cuDeviceGet(int *device, int index) {
    int devices[64];
    if (index >= visible(devices)) return 101;
    *device = devices[index];
    return 0;
}
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "NVIDIA H100", length); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)80 << 30; return 0; }
int cuDeviceGetUuid(char *uuid, int device) { memset(uuid, device + 1, 16); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 9 : attribute == 20 ? number("MODE", 0) : 0;
    return 0;
}
int cuGetErrorString(int code, const char **text) {
    *text = code == 100 ? "no CUDA-capable device is detected" : "system not ready";
    return 0;
}
