// Runs every kernel once on what comes in, in the order of tests/model/pooling/test_instructions.py,
// so that code for a processor can be tried under an emulator.
//
//     driver ROWS WIDTH BAGS STRIDE THREADS < inputs > results

#include KERNELS
#include RANDOM_BITS

#include <cstdio>
#include <cstdlib>

namespace {

template <class T>
std::vector<T> read(long size) {
  std::vector<T> values(size);
  if (std::fread(values.data(), sizeof(T), size, stdin) != static_cast<std::size_t>(size))
    std::exit(2);
  return values;
}

template <class T>
void write(const std::vector<T> &values) {
  std::fwrite(values.data(), sizeof(T), values.size(), stdout);
}

long rows, width, bags, stride;
int threads;

template <class T>
void run(const std::vector<Float16> &stored, const std::vector<float> &mean,
         const std::vector<float> &bias, const std::vector<std::int8_t> &bits,
         const std::vector<std::int64_t> &bag, std::vector<T> gates,
         const std::vector<float> &gate_bias, const std::vector<float> &score) {
  std::vector<T> wide(rows * width), hidden, d_gates(2 * rows * width);
  std::vector<float> scores(rows), totals(bags * width), d_scores(rows), sums(3 * width),
      d_bias(width);
  widen(stored.data(), mean.data(), wide.data(), rows, width, threads);
  hidden = wide;
  rectify(hidden.data(), bias.data(), bits.data(), 0, rows, width, threads);
  gate(gates.data(), gate_bias.data(), score.data(), scores.data(), rows, width, threads);
  pool(hidden.data(), scores.data(), bag.data(), totals.data(), bags, rows, width, threads);
  pool_back(hidden.data(), scores.data(), totals.data(), mean.data(), bag.data(), d_scores.data(),
            rows, width, threads);
  gate_back(gates.data(), score.data(), d_scores.data(), d_gates.data(), sums.data(), rows, width,
            threads);
  write(wide);
  write(hidden);
  write(gates);
  write(scores);
  write(totals);
  write(d_scores);
  write(d_gates);
  write(sums);
  rectify_back(wide.data(), hidden.data(), scores.data(), bag.data(), totals.data(), d_bias.data(),
               rows, width, threads);
  write(wide);
  write(d_bias);
}

}  // namespace

int main(int, char **words) {
  rows = std::atol(words[1]), width = std::atol(words[2]), bags = std::atol(words[3]);
  stride = std::atol(words[4]), threads = std::atoi(words[5]);
  const auto stored = read<Float16>(rows * width);
  const auto mean = read<float>(width), bias = read<float>(width);
  const auto bits = read<std::int8_t>(rows * width);
  const auto bag = read<std::int64_t>(rows);
  const auto gates = read<float>(2 * rows * width);
  const auto gate_bias = read<float>(2 * width), score = read<float>(width);
  std::vector<BFloat16> narrow(gates.size());
  for (std::size_t place = 0; place < gates.size(); ++place) put(narrow[place], gates[place]);
  run<float>(stored, mean, bias, bits, bag, gates, gate_bias, score);
  run<BFloat16>(stored, mean, bias, bits, bag, narrow, gate_bias, score);

  std::vector<std::uint16_t> turned(2 * width * stride, 1);
  turn_bfloat16(&narrow[0].bits, turned.data(), stride, rows, 2 * width, threads);
  std::vector<float> added(gates);
  add_bfloat16(narrow.data(), added.data(), rows, 2 * width, threads);
  std::vector<std::uint64_t> drawn(rows);
  random_bits(-7, drawn.data(), rows, threads);
  write(turned);
  write(added);
  write(drawn);
  std::fputs(instructions(), stdout);
}
