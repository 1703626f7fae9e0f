// The element by element parts of the blocked pass (patch_steps.py says what each computes).
//
// Each walks once over its rows, in the threads that PyTorch uses, and takes all arithmetic in
// float32, whatever the type of the rows. Sums over rows are taken thread by thread and then
// added in the order of the threads, so that a run can be repeated to the last bit.

#include <cstdint>
#include <cstring>
#include <vector>

#include <omp.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

struct Float16 {
  std::uint16_t bits;
};

struct BFloat16 {
  std::uint16_t bits;
};

inline float wide(float value) { return value; }
inline float wide(Float16 value) {
  const std::uint32_t size = value.bits & 0x7fff, sign = (value.bits & 0x8000u) << 16;
  // Exponents start 112 lower in float16; the largest, of infinity, becomes float32's largest.
  const std::uint32_t exponent = (size < 0x7c00 ? 112u : 224u) << 23;
  const std::uint32_t normal = (size << 13) + exponent;
  const float small = static_cast<float>(static_cast<int>(size)) * 0x1p-24f;
  const std::uint32_t bits = size < 0x400 ? __builtin_bit_cast(std::uint32_t, small) : normal;
  return __builtin_bit_cast(float, bits | sign);
}
inline float wide(BFloat16 value) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(value.bits) << 16);
}

inline void put(float &place, float value) { place = value; }
inline void put(BFloat16 &place, float value) {
  // To nearest, ties to even; not a number stays so.
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  place.bits = static_cast<std::uint16_t>(value == value ? rounded : 0x7fc0);
}

// tanh as the quotient of two polynomials, as in Eigen and XNNPACK: float32 to within a few units
// in the last place.
struct Quotient {
  float above, below;
};

inline Quotient tanh_of(float x) {
  constexpr float end = 7.90531110763549805f;
  x = x > end ? end : x;
  x = x < -end ? -end : x;
  const float s = x * x;
  float p = -2.76076847742355e-16f;
  p = p * s + 2.00018790482477e-13f;
  p = p * s - 8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  float q = 1.19825839466702e-06f;
  q = q * s + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return {x * p, q};
}

// Calls body(first, last, sums) with each thread's rows and n_sums zeros; adds the sums.
template <class Body>
void over_rows(long rows, int threads, long n_sums, float *totals, Body body) {
  std::vector<float> sums(threads * n_sums, 0.0f);
#pragma omp parallel num_threads(threads)
  {
    const long team = omp_get_num_threads(), own = omp_get_thread_num();
    body(rows * own / team, rows * (own + 1) / team, sums.data() + own * n_sums);
  }
  for (int thread = 0; thread < threads; ++thread)
    for (long column = 0; column < n_sums; ++column)
      totals[column] += sums[thread * n_sums + column];
}

// Rows that come from memory: what the processor fetches by itself ends with the page.
template <class T>
inline void fetch_ahead(const T *row, long width) {
  constexpr long bytes = 16384, line = 64;
  const char *from = reinterpret_cast<const char *>(row) + bytes;
  for (long byte = 0; byte < width * static_cast<long>(sizeof(T)); byte += line)
    __builtin_prefetch(from + byte);
}

inline void wide_row(const Float16 *from, float *to, long width) {
  fetch_ahead(from, width);
  long column = 0;
#if defined(__AVX512F__)
  for (; column + 16 <= width; column += 16) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + column));
    _mm512_storeu_ps(to + column, _mm512_cvtph_ps(bits));
  }
#elif defined(__F16C__)
  for (; column + 8 <= width; column += 8) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from + column));
    _mm256_storeu_ps(to + column, _mm256_cvtph_ps(bits));
  }
#elif defined(__aarch64__)
  for (; column + 4 <= width; column += 4) {
    const uint16x4_t bits = vld1_u16(&from[column].bits);
    vst1q_f32(to + column, vcvt_f32_f16(vreinterpret_f16_u16(bits)));
  }
#endif
  for (; column < width; ++column) to[column] = wide(from[column]);
}

// The place where a row is made in float32: the row itself, or a line in the cache, from which
// `finish` rounds it.
class Line {
 public:
  explicit Line(long width) : values_(width) {}

  float *start(BFloat16 *) { return values_.data(); }
  float *start(float *row) { return row; }

  void finish(float *) {}
  void finish(BFloat16 *row) {
    const float *from = values_.data();
    const long width = static_cast<long>(values_.size());
    long column = 0;
#if defined(__AVX512BF16__)
    for (; column + 32 <= width; column += 32) {
      const __m512 low = _mm512_loadu_ps(from + column), high = _mm512_loadu_ps(from + column + 16);
      const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
      std::memcpy(row + column, &both, sizeof both);
    }
#endif
    for (; column < width; ++column) put(row[column], from[column]);
  }

 private:
  std::vector<float> values_;
};

template <class T>
void widen(const Float16 *stored, const float *mean, T *out, long rows, long width, int threads) {
  over_rows(rows, threads, 0, nullptr, [=](long first, long last, float *) {
    Line line(width);
    for (long row = first; row < last; ++row) {
      float *to = line.start(out + row * width);
      wide_row(stored + row * width, to, width);
      if (mean != nullptr) {
#pragma omp simd
        for (long column = 0; column < width; ++column) to[column] -= mean[column];
      }
      line.finish(out + row * width);
    }
  });
}

inline float rectified(float value) { return value < 0 ? 0.0f : value; }

template <class T, class Bits>
void rectify(T *hidden, const float *bias, const Bits *bits, int lowest_kept, long rows,
             long width, int threads) {
  over_rows(rows, threads, 0, nullptr, [=](long first, long last, float *) {
    Line line(width);
    for (long row = first; row < last; ++row) {
      T *value = hidden + row * width;
      float *to = line.start(value);
      if (bits == nullptr) {
#pragma omp simd
        for (long column = 0; column < width; ++column)
          to[column] = rectified(wide(value[column]) + bias[column]);
      } else {
        const Bits *drawn = bits + row * width;
#pragma omp simd
        for (long column = 0; column < width; ++column) {
          const float positive = rectified(wide(value[column]) + bias[column]);
          to[column] = drawn[column] >= lowest_kept ? positive : 0.0f;
        }
      }
      line.finish(value);
    }
  });
}

template <class T>
void gate(T *gates, const float *bias, const float *weights, float *scores, long rows, long width,
          int threads) {
  over_rows(rows, threads, 0, nullptr, [=](long first, long last, float *) {
    Line line(2 * width);
    for (long row = first; row < last; ++row) {
      T *content = gates + 2 * row * width, *gate = content + width;
      float *to = line.start(content);
      float score = 0;
#pragma omp simd reduction(+ : score)
      for (long column = 0; column < width; ++column) {
        const Quotient first_half = tanh_of(wide(content[column]) + bias[column]);
        const Quotient second_half = tanh_of(wide(gate[column]) + bias[width + column]);
        const float inverse = 1 / (first_half.below * second_half.below);  // one division for two
        const float t = first_half.above * second_half.below * inverse;
        const float r = second_half.above * first_half.below * inverse;
        to[column] = t;
        to[width + column] = r;
        score += weights[column] * (t + t * r);
      }
      line.finish(content);
      scores[row] = score;
    }
  });
}

template <class T>
void pool(const T *hidden, const float *weights, const std::int64_t *bag, float *totals,
          long n_bags, long rows, long width, int threads) {
  over_rows(rows, threads, n_bags * width, totals, [=](long first, long last, float *sums) {
    for (long row = first; row < last; ++row) {
      const T *value = hidden + row * width;
      float *own = sums + bag[row] * width;
      const float weight = weights[row];
#pragma omp simd
      for (long column = 0; column < width; ++column) own[column] += weight * wide(value[column]);
    }
  });
}

template <class T>
void pool_back(const T *hidden, const float *attention, const float *towards, const float *mean,
               const std::int64_t *bag, float *d_scores, long rows, long width, int threads) {
  over_rows(rows, threads, 0, nullptr, [=](long first, long last, float *) {
    for (long row = first; row < last; ++row) {
      const T *value = hidden + row * width;
      const float *pull = towards + bag[row] * width;
      fetch_ahead(value, width);
      float rise = 0;
#pragma omp simd reduction(+ : rise)
      for (long column = 0; column < width; ++column) rise += wide(value[column]) * pull[column];
      d_scores[row] = attention[row] * (rise - mean[bag[row]]);
    }
  });
}

template <class T>
void gate_back(const T *gates, const float *weights, const float *d_scores, T *d_gates,
               float *totals, long rows, long width, int threads) {
  over_rows(rows, threads, 3 * width, totals, [=](long first, long last, float *sums) {
    Line line(2 * width);
    for (long row = first; row < last; ++row) {
      const T *content = gates + 2 * row * width, *gate = content + width;
      float *to = line.start(d_gates + 2 * row * width);
      const float d_score = d_scores[row];
      fetch_ahead(content, 2 * width);
#pragma omp simd
      for (long column = 0; column < width; ++column) {
        const float t = wide(content[column]), r = wide(gate[column]);
        const float d = d_score * weights[column];
        const float d_t = d * (1 + r) * (1 - t * t), d_r = d * t * (1 - r * r);
        to[column] = d_t;
        to[width + column] = d_r;
        sums[column] += d_t;
        sums[width + column] += d_r;
        sums[2 * width + column] += d_score * (t + t * r);
      }
      line.finish(d_gates + 2 * row * width);
    }
  });
}

template <class T>
void rectify_back(T *d_hidden, const T *hidden, const float *attention, const std::int64_t *bag,
                  const float *towards, float *totals, long rows, long width, int threads) {
  over_rows(rows, threads, width, totals, [=](long first, long last, float *sums) {
    Line line(width);
    for (long row = first; row < last; ++row) {
      const T *value = hidden + row * width;
      T *gradient = d_hidden + row * width;
      float *to = line.start(gradient);
      const float *pull = towards + bag[row] * width;
      const float share = attention[row];
#pragma omp simd
      for (long column = 0; column < width; ++column) {
        const float all = wide(gradient[column]) + share * pull[column];
        const float kept = wide(value[column]) > 0 ? all : 0.0f;
        to[column] = kept;
        sums[column] += kept;
      }
      line.finish(gradient);
    }
  });
}

void add(const BFloat16 *values, float *totals, long rows, long width, int threads) {
  over_rows(rows, threads, 0, nullptr, [=](long first, long last, float *) {
#pragma omp simd
    for (long place = first * width; place < last * width; ++place)
      totals[place] += wide(values[place]);
  });
}

// Rows to columns, 32 x 2 values at a time: a column's 32 are one line of the cache. What is left
// of rows and columns goes value by value. A column ends in zeros, up to the stride.
void turn(const std::uint16_t *in, std::uint16_t *out, long rows, long width, long stride,
          int threads) {
  constexpr long lines = 32;
  over_rows(width, threads, 0, nullptr, [=](long first, long last, float *) {
    for (long column = first; column < last; ++column)
      std::memset(out + column * stride + rows, 0, (stride - rows) * sizeof *out);
  });
  over_rows((rows + lines - 1) / lines, threads, 0, nullptr, [=](long first, long last, float *) {
    const long end = last * lines < rows ? last * lines : rows;
    const long whole = end / lines * lines, pairs = width % 2 == 0 ? width / 2 : 0;
    for (long row = first * lines; row < whole; row += lines) {
      const std::uint32_t *from = reinterpret_cast<const std::uint32_t *>(in + row * width);
      for (long pair = 0; pair < pairs; ++pair) {
        std::uint32_t left[lines / 2], right[lines / 2];
#pragma omp simd
        for (int two = 0; two < lines / 2; ++two) {
          const std::uint32_t upper = from[2 * two * pairs + pair];
          const std::uint32_t lower = from[(2 * two + 1) * pairs + pair];
          left[two] = (upper & 0xffffu) | (lower << 16);
          right[two] = (upper >> 16) | (lower & 0xffff0000u);
        }
        std::memcpy(out + 2 * pair * stride + row, left, sizeof left);
        std::memcpy(out + (2 * pair + 1) * stride + row, right, sizeof right);
      }
    }
    for (long row = pairs ? whole : first * lines; row < end; ++row)
      for (long column = 0; column < width; ++column)
        out[column * stride + row] = in[row * width + column];
  });
}

}  // namespace

// The instructions that are used by name, as far as they go beyond what the compiler chooses.
extern "C" const char *instructions() {
#if defined(__AVX512BF16__)
  return "AVX-512 with bfloat16";
#elif defined(__AVX512F__)
  return "AVX-512";
#elif defined(__AVX2__) && defined(__F16C__)
  return "AVX2";
#elif defined(__aarch64__)
  return "NEON";
#else
  return "no vector instructions that are known here";
#endif
}

extern "C" void turn_bfloat16(const std::uint16_t *in, std::uint16_t *out, long stride, long rows,
                              long width, int threads) {
  turn(in, out, rows, width, stride, threads);
}

extern "C" void add_bfloat16(const BFloat16 *values, float *totals, long rows, long width,
                             int threads) {
  add(values, totals, rows, width, threads);
}

#define KERNELS(NAME, T)                                                                        \
  extern "C" void widen_##NAME(const Float16 *stored, const float *mean, T *out, long rows,      \
                               long width, int threads) {                                       \
    widen(stored, mean, out, rows, width, threads);                                             \
  }                                                                                             \
  extern "C" void rectify_##NAME(T *hidden, const float *bias, const void *bits, int bytes,      \
                                 int lowest_kept, long rows, long width, int threads) {         \
    if (bytes == 1)                                                                             \
      rectify(hidden, bias, static_cast<const std::int8_t *>(bits), lowest_kept, rows, width,   \
              threads);                                                                         \
    else                                                                                        \
      rectify(hidden, bias, static_cast<const std::int16_t *>(bits), lowest_kept, rows, width,  \
              threads);                                                                         \
  }                                                                                             \
  extern "C" void gate_##NAME(T *gates, const float *bias, const float *weights, float *scores,  \
                              long rows, long width, int threads) {                             \
    gate(gates, bias, weights, scores, rows, width, threads);                                   \
  }                                                                                             \
  extern "C" void pool_##NAME(const T *hidden, const float *weights, const std::int64_t *bag,    \
                              float *totals, long n_bags, long rows, long width, int threads) { \
    pool(hidden, weights, bag, totals, n_bags, rows, width, threads);                           \
  }                                                                                             \
  extern "C" void pool_back_##NAME(const T *hidden, const float *attention, const float *towards, \
                                   const float *mean, const std::int64_t *bag, float *d_scores,  \
                                   long rows, long width, int threads) {                        \
    pool_back(hidden, attention, towards, mean, bag, d_scores, rows, width, threads);           \
  }                                                                                             \
  extern "C" void gate_back_##NAME(const T *gates, const float *weights, const float *d_scores,  \
                                   T *d_gates, float *totals, long rows, long width,            \
                                   int threads) {                                               \
    gate_back(gates, weights, d_scores, d_gates, totals, rows, width, threads);                 \
  }                                                                                             \
  extern "C" void rectify_back_##NAME(T *d_hidden, const T *hidden, const float *attention,      \
                                      const std::int64_t *bag, const float *towards,            \
                                      float *totals, long rows, long width, int threads) {      \
    rectify_back(d_hidden, hidden, attention, bag, towards, totals, rows, width, threads);      \
  }

KERNELS(float32, float)
KERNELS(bfloat16, BFloat16)
