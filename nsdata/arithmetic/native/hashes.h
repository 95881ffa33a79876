/* Seeded hashes of ids: splitmix64's finaliser, as in nsdata.arithmetic.seeded, to the bit. */

INLINE uint64_t finalised(uint64_t value) {
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
    value = (value ^ value >> 27) * 0x94D049BB133111EBu;
    return value ^ value >> 31;
}

/* The bytes are put together one by one, so that it does not matter in which order a processor keeps them. */
INLINE uint64_t big_endian(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
    return value;
}

/* Of m ids of 16 bytes, after the seed and the epoch were absorbed. */
INLINE void hashed(const uint8_t *ids, uint64_t state, uint64_t *out, size_t m) {
    for (size_t i = 0; i < m; i++)
        out[i] = finalised(finalised(big_endian(ids + 16 * i) ^ state) ^ big_endian(ids + 16 * i + 8));
}
