#include <unroll/models/data/audio.h>

#include <sndfile.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstring>
#include <kissfft/kissfft.hh>
#include <memory>
#include <numbers>
#include <string_view>

namespace unroll::inline UNROLL_ISA {
namespace {

struct Close {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using SoundFile = std::unique_ptr<SNDFILE, Close>;

/// The bytes of a file as libsndfile wants to see them.
struct Bytes {
  const std::string& bytes;
  sf_count_t at = 0;

  static Bytes& of(void* self) { return *static_cast<Bytes*>(self); }
  sf_count_t size() const { return static_cast<sf_count_t>(bytes.size()); }
  static SF_VIRTUAL_IO io() {
    return {.get_filelen = [](void* self) { return of(self).size(); },
            .seek =
                [](sf_count_t offset, int whence, void* self) {
                  Bytes& b = of(self);
                  const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? b.at : b.size();
                  return b.at = std::clamp(from + offset, sf_count_t{0}, b.size());
                },
            .read =
                [](void* to, sf_count_t count, void* self) {
                  Bytes& b = of(self);
                  count = std::clamp(count, sf_count_t{0}, b.size() - b.at);
                  std::memcpy(to, b.bytes.data() + b.at, static_cast<std::size_t>(count));
                  b.at += count;
                  return count;
                },
            .write = [](const void*, sf_count_t, void*) { return sf_count_t{0}; },
            .tell = [](void* self) { return of(self).at; }};
  }
};

/// Whether the samples of a WAV file end before its header says. Where nobody could go back to the header, as in a
/// pipe, it says something close to all that 31 or 32 bits can.
bool ends_early(std::string_view wav) {
  const auto number = [&](std::size_t at) {
    std::uint32_t n = 0;
    std::memcpy(&n, wav.data() + at, sizeof n);
    return n;
  };
  if (!wav.starts_with("RIFF")) return false;
  for (std::size_t at = 12; at + 8 <= wav.size(); at += 8 + std::size_t{number(at + 4)} + number(at + 4) % 2)
    if (wav.substr(at, 4) == "data") return number(at + 4) < 0x7FFF0000 && number(at + 4) > wav.size() - at - 8;
  return false;
}

double mel(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

/// The weights of the points of a spectrum in a band, from the first that counts.
struct Band {
  std::size_t first = 0;
  std::vector<double> weights;
};

std::vector<Band> mel_bands(const LogMelOptions& o, std::size_t points, double spacing) {
  const auto edge = [&](Index k) {
    const double low = mel(o.lowest), high = mel(o.highest);
    return hertz(low + (high - low) * static_cast<double>(k) / static_cast<double>(o.bands + 1));
  };
  std::vector<Band> bands(static_cast<std::size_t>(o.bands));
  for (Index k = 0; k < o.bands; ++k) {
    Band& band = bands[static_cast<std::size_t>(k)];
    const double left = edge(k), centre = edge(k + 1), right = edge(k + 2);
    for (std::size_t p = 0; p < points; ++p) {
      const double f = static_cast<double>(p) * spacing;
      const double weight = std::min((f - left) / (centre - left), (right - f) / (right - centre));
      if (weight <= 0) continue;
      if (band.weights.empty()) band.first = p;
      band.weights.push_back(weight);
    }
  }
  return bands;
}

/// Points of the spectrum: a power of two that covers the window, and puts two points into the narrowest band.
std::size_t transform_size(const LogMelOptions& o, double rate, std::size_t window) {
  const double step = (mel(o.highest) - mel(o.lowest)) / static_cast<double>(o.bands + 1);
  const double narrowest = hertz(mel(o.lowest) + step) - o.lowest;
  return std::bit_ceil(std::max({window, static_cast<std::size_t>(std::ceil(rate / narrowest)), std::size_t{4}}));
}

void check(const Sound& sound, const LogMelOptions& o) {
  require<ValueError>(o.bands > 0 && o.bands <= 256 && o.window >= 0.001 && o.window <= 1 && o.hop >= 0.001 &&
                          o.lowest >= 0 && o.highest >= o.lowest + 100 && o.floor > 0,
                      "log mel: {} bands of {} .. {} Hz, window {} s, hop {} s, floor {}", o.bands, o.lowest, o.highest,
                      o.window, o.hop, o.floor);
  require<ValueError>(static_cast<double>(sound.rate) >= 2 * o.highest && sound.rate <= 768000,
                      "log mel: {} samples per second are not in {} .. 768000", sound.rate, 2 * o.highest);
}

}  // namespace

Sound decode_sound(const std::string& bytes) {
  Bytes source{bytes};
  SF_VIRTUAL_IO io = Bytes::io();
  SF_INFO info{};
  const SoundFile file(sf_open_virtual(&io, SFM_READ, &info, &source));
  if (!file) throw ValueError(fmt::format("it is no sound: {}", sf_strerror(nullptr)));
  require<ValueError>(!ends_early(bytes), "it ends before the last of the samples that its header promises");
  const auto channels = static_cast<std::size_t>(info.channels);
  Sound sound{{}, info.samplerate};
  std::vector<float> part(1024 * channels);
  for (;;) {
    const sf_count_t frames = sf_readf_float(file.get(), part.data(), 1024);
    if (frames <= 0) break;
    for (std::size_t t = 0; t < static_cast<std::size_t>(frames); ++t) {
      float sum = 0;
      for (std::size_t c = 0; c < channels; ++c) sum += part[t * channels + c];
      sound.samples.push_back(sum / static_cast<float>(channels));
    }
  }
  require<ValueError>(!sound.samples.empty(), "it holds no sound");
  const auto wild = [](float x) { return !(std::abs(x) <= 100); };
  require<ValueError>(std::none_of(sound.samples.begin(), sound.samples.end(), wild),
                      "a sample is far beyond the scale of -1 .. 1, or not a number");
  return sound;
}

void write_wav(const std::string& path, const Sound& sound) {
  SF_INFO info{};
  info.samplerate = static_cast<int>(sound.rate);
  info.channels = 1;
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  const SoundFile file(sf_open(path.c_str(), SFM_WRITE, &info));
  if (!file) throw FileError(fmt::format("{} cannot be written: {}", path, sf_strerror(nullptr)));
  sf_command(file.get(), SFC_SET_CLIPPING, nullptr, SF_TRUE);
  const auto count = static_cast<sf_count_t>(sound.samples.size());
  require<FileError>(sf_writef_float(file.get(), sound.samples.data(), count) == count, "{} cannot be written: {}",
                     path, sf_strerror(file.get()));
}

std::vector<float> log_mel(const Sound& sound, const LogMelOptions& o) {
  check(sound, o);
  const auto rate = static_cast<double>(sound.rate);
  const auto window = static_cast<std::size_t>(std::lround(o.window * rate));
  const std::size_t size = transform_size(o, rate, window), half = size / 2;
  const std::vector<Band> bands = mel_bands(o, half + 1, rate / static_cast<double>(size));
  std::vector<double> hann(window), frame(size), power(half + 1);
  for (std::size_t i = 0; i < window; ++i) {
    const double phase = 2 * std::numbers::pi * (static_cast<double>(i) + 0.5) / static_cast<double>(window);
    hann[i] = (0.5 - 0.5 * std::cos(phase)) / std::sqrt(static_cast<double>(window));
  }
  const kissfft<double> transform(half, false);
  std::vector<std::complex<double>> spectrum(half);
  std::vector<float> out;
  for (Index t = 0;; ++t) {
    const auto first = static_cast<std::size_t>(std::lround(static_cast<double>(t) * o.hop * rate));
    if (t > 0 && first + window > sound.samples.size()) return out;
    for (std::size_t i = 0; i < window; ++i)
      frame[i] = first + i < sound.samples.size() ? hann[i] * static_cast<double>(sound.samples[first + i]) : 0;
    transform.transform_real(frame.data(), spectrum.data());
    for (std::size_t p = 1; p < half; ++p) power[p] = std::norm(spectrum[p]);
    power[0] = spectrum[0].real() * spectrum[0].real();
    power[half] = spectrum[0].imag() * spectrum[0].imag();
    for (const Band& band : bands) {
      double energy = o.floor;
      for (std::size_t i = 0; i < band.weights.size(); ++i) energy += band.weights[i] * power[band.first + i];
      out.push_back(static_cast<float>(std::log(energy)));
    }
  }
}

}  // namespace unroll::inline UNROLL_ISA
