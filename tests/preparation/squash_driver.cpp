// Squashes what comes in, so that code for a processor can be tried under an emulator.
//
//     driver ROWS WIDTH THREADS < centre, rate, patches > results

#include SQUASH

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

std::vector<float> read(long size) {
  std::vector<float> values(size);
  if (std::fread(values.data(), sizeof(float), size, stdin) != static_cast<std::size_t>(size))
    std::exit(2);
  return values;
}

}  // namespace

int main(int, char **arguments) {
  const long rows = std::atol(arguments[1]), width = std::atol(arguments[2]);
  const std::vector<float> centre = read(width), rate = read(width);
  std::vector<float> patches = read(rows * width);
  squash(patches.data(), centre.data(), rate.data(), rows, width, std::atoi(arguments[3]));
  std::fwrite(patches.data(), sizeof(float), patches.size(), stdout);
}
