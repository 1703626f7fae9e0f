// Squashes patches in one pass over the memory (squash.py says what it computes).

#include <cfloat>
#include <cmath>
#include <cstdint>

namespace {

// log(1 + a) of a >= 0, to within two units in the last place: 1 + a is 2^e m, with m between the
// root of 1/2 and that of 2. The polynomial is Cephes' (logf) for log(1 + f).
inline float log1p_of(float a) {
  const float u = 1.0f + a;
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, u);
  const std::int32_t exponent = static_cast<std::int32_t>(bits - 0x3f3504f3u) >> 23;
  const std::uint32_t mantissa = bits - (static_cast<std::uint32_t>(exponent) << 23);
  // What 1 + a has lost of a small a is not lost in a.
  const float f = exponent == 0 ? a : __builtin_bit_cast(float, mantissa) - 1.0f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float square = f * f, e = static_cast<float>(exponent);
  const float low = square * f * p - 2.12194440e-4f * e - 0.5f * square;
  const float found = f + low + 0.693359375f * e;
  return u <= FLT_MAX ? found : u;  // infinity, and what is not a number, stay so
}

}  // namespace

extern "C" void squash(float *patches, const float *centre, const float *rate, long rows,
                       long width, int threads) {
#pragma omp parallel for num_threads(threads)
  for (long row = 0; row < rows; ++row) {
    float *own = patches + row * width;
#pragma omp simd
    for (long column = 0; column < width; ++column) {
      const float z = (own[column] - centre[column]) * rate[column];
      own[column] = std::copysign(log1p_of(std::fabs(z)), z);
    }
  }
}
