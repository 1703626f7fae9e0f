// Random bits in bulk: SplitMix64 (Steele, Lea and Flood, 2014), which makes the n-th number of a
// stream from n and the seed alone, so that threads and vectors share the work.

#include <cstdint>

extern "C" void random_bits(std::int64_t seed, std::uint64_t *out, long size, int threads) {
  const std::uint64_t start = static_cast<std::uint64_t>(seed);
#pragma omp parallel for simd num_threads(threads)
  for (long place = 0; place < size; ++place) {
    std::uint64_t bits = start + static_cast<std::uint64_t>(place) * 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    out[place] = bits ^ (bits >> 31);
  }
}
