/* The darts of mpiapps/kernels/pi.py in plain C, as the peer of `make bench-pi`. */
#include <stdint.h>

/* Misses of the four 16-bit darts of indices first to last; at most 2**30 of them. */
uint32_t misses16(uint32_t seed, uint32_t stream, uint64_t first, uint64_t last)
{
    uint32_t misses = 0;
    uint32_t high = (uint32_t)(first >> 32), low = (uint32_t)first;
    uint32_t n = (uint32_t)(last - first);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t c0 = low + i, c1 = high, c2 = 0, c3 = 0, k0 = seed, k1 = stream;
        for (int round = 0; round < 10; round++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0;
            uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
            c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
            c1 = (uint32_t)p1;
            c3 = (uint32_t)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        uint32_t words[4] = {c0, c1, c2, c3};
        for (int k = 0; k < 4; k++) {
            uint32_t x = words[k] & 0xFFFF, y = words[k] >> 16;
            misses += ((x * (x + 1) >> 1) + (y * (y + 1) >> 1)) >> 31;
        }
    }
    return misses;
}
