// SPDX-License-Identifier: MIT
// How the picture nodes fail and stop. What they make is compared with a real ComfyUI's pictures in
// tests/integration/golden_pictures.py.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "fixtures.hpp"
#include "image/video.hpp"
#include "rehearsal/node.hpp"

using atelier::rehearsal::Tensor;
using atelier::rehearsal::TensorPtr;
using atelier::rehearsal::Value;
using atelier::rehearsal::Video;
using fixtures::FakeWatch;
using fixtures::pattern;
namespace image = atelier::image;

namespace {

struct Bench : fixtures::Bench {
  Bench() { metadata = {{"prompt", "{}"}}; }
};

Value shared(Tensor tensor) { return std::make_shared<const Tensor>(std::move(tensor)); }
Value text(const char* value) { return std::string(value); }
Value whole(std::int64_t value) { return value; }

Tensor rgba(std::uint32_t width, std::uint32_t height) {
  Tensor tensor{width, height, 1, 4, {}};
  tensor.samples.assign(tensor.frame_length(), 0.5F);
  return tensor;
}

}  // namespace

TEST_CASE("a blur that is as wide as its picture fails as ComfyUI's does") {
  Bench bench;
  CHECK(bench.failure("ImageBlur",
                      {{"image", shared(pattern(8, 20))}, {"blur_radius", whole(8)}, {"sigma", 1.0}}) ==
        "RuntimeError");
  CHECK(bench.failure("ImageBlur",
                      {{"image", shared(pattern(8, 20))}, {"blur_radius", whole(7)}, {"sigma", 1.0}}) ==
        "none");
}

TEST_CASE("batches of different lengths blend only if one of them is a single picture") {
  Bench bench;
  const auto blend = [&](std::uint32_t first, std::uint32_t second) {
    return bench.failure("ImageBlend", {{"image1", shared(pattern(4, 4, first))},
                                        {"image2", shared(pattern(4, 4, second))},
                                        {"blend_factor", 0.5},
                                        {"blend_mode", text("screen")}});
  };
  CHECK(blend(2, 3) == "RuntimeError");
  CHECK(blend(1, 3) == "none");
  CHECK(blend(3, 1) == "none");
}

TEST_CASE("a composite over transparency needs a mask and something in sight") {
  Bench bench;
  const Value mask = shared(Tensor{4, 4, 1, 1, std::vector<float>(16, 0.5F)});
  std::map<std::string, Value, std::less<>> inputs{{"source", shared(pattern(4, 4))},
                                                   {"destination", shared(rgba(8, 8))},
                                                   {"x", whole(2)},
                                                   {"y", whole(2)},
                                                   {"resize_source", whole(0)}};
  CHECK(bench.failure("ImageCompositeMasked", inputs) == "RuntimeError");
  inputs["mask"] = mask;
  CHECK(bench.failure("ImageCompositeMasked", inputs) == "none");
  inputs["x"] = whole(8);
  CHECK(bench.failure("ImageCompositeMasked", inputs) == "RuntimeError");
}

TEST_CASE("layers of different channels are an AssertionError") {
  Bench bench;
  const Value mask = shared(Tensor{4, 4, 1, 1, std::vector<float>(16, 0.5F)});
  CHECK(bench.failure("PorterDuffImageComposite", {{"source", shared(rgba(4, 4))},
                                                   {"source_alpha", mask},
                                                   {"destination", shared(pattern(4, 4))},
                                                   {"destination_alpha", mask},
                                                   {"mode", text("SRC")}}) == "AssertionError");
}

TEST_CASE("pictures with alpha make neither a palette nor a video") {
  Bench bench;
  CHECK(bench.failure("ImageQuantize",
                      {{"image", shared(rgba(4, 4))}, {"colors", whole(4)}, {"dither", text("none")}}) ==
        "ValueError");
  const Video video{std::make_shared<const Tensor>(rgba(64, 64)), 30, {}};
  CHECK(bench.failure("SaveVideo", {{"video", std::make_shared<const Video>(video)},
                                    {"filename_prefix", text("v")},
                                    {"format", text("auto")},
                                    {"codec", text("auto")}}) == "ValueError");
}

TEST_CASE("a channel that a picture has not is an IndexError") {
  Bench bench;
  CHECK(bench.failure("ImageToMask", {{"image", shared(pattern(4, 4))}, {"channel", text("alpha")}}) ==
        "IndexError");
  CHECK(bench.failure("ImageToMask", {{"image", shared(rgba(4, 4))}, {"channel", text("alpha")}}) == "none");
}

TEST_CASE("a picture scaled to nothing fails, one larger than memory as well") {
  Bench bench;
  const auto scale = [&](const char* method, double factor) {
    return bench.failure(
        "ImageScaleBy",
        {{"image", shared(pattern(20, 20))}, {"upscale_method", text(method)}, {"scale_by", factor}});
  };
  CHECK(scale("bilinear", 0.01) == "RuntimeError");
  CHECK(scale("lanczos", 0.01) == "ValueError");
  CHECK(scale("bilinear", 1000.0) == "RuntimeError");
  CHECK(bench.failure("RepeatImageBatch", {{"image", shared(pattern(300, 300))}, {"amount", whole(4096)}}) ==
        "RuntimeError");
}

TEST_CASE("every picture node stops when the prompt is interrupted") {
  Bench bench;
  const Value picture = shared(pattern(40, 30, 2)),
              mask = shared(Tensor{4, 4, 1, 1, std::vector<float>(16, 0.5F)});
  const std::vector<std::pair<std::string_view, std::map<std::string, Value, std::less<>>>> calls{
      {"ImageFlip", {{"image", picture}, {"flip_method", text("x-axis: vertically")}}},
      {"ImageRotate", {{"image", picture}, {"rotation", text("90 degrees")}}},
      {"ImagePadForOutpaint",
       {{"image", picture},
        {"left", whole(8)},
        {"top", whole(0)},
        {"right", whole(0)},
        {"bottom", whole(0)},
        {"feathering", whole(0)}}},
      {"ImageBlur", {{"image", picture}, {"blur_radius", whole(3)}, {"sigma", 1.0}}},
      {"ImageSharpen", {{"image", picture}, {"sharpen_radius", whole(3)}, {"sigma", 1.0}, {"alpha", 1.0}}},
      {"ImageQuantize", {{"image", picture}, {"colors", whole(4)}, {"dither", text("none")}}},
      {"SaveAnimatedPNG",
       {{"images", picture}, {"filename_prefix", text("a")}, {"fps", 6.0}, {"compress_level", whole(4)}}},
      {"SaveWEBM",
       {{"images", picture},
        {"filename_prefix", text("a")},
        {"fps", 6.0},
        {"codec", text("vp9")},
        {"crf", 32.0}}},
  };
  for (const auto& [name, inputs] : calls) {
    CAPTURE(name);
    bench.watch = FakeWatch(1);
    CHECK(bench.failure(name, inputs) == "interrupted");
    bench.watch = FakeWatch();
    CHECK(bench.failure(name, inputs) == "none");
  }
}

TEST_CASE("a saved video is one moving file below its prefix, and comes back as it was") {
  Bench bench;
  const Video video{std::make_shared<const Tensor>(pattern(64, 64, 3)), 12, {}};
  const auto saved = bench.run("SaveVideo", {{"video", std::make_shared<const Video>(video)},
                                             {"filename_prefix", text("clips/one")},
                                             {"format", text("auto")},
                                             {"codec", text("auto")}});
  REQUIRE_MESSAGE(saved.has_value(), saved.error().message);
  REQUIRE(saved->images.size() == 1);
  CHECK(saved->animated);
  CHECK(saved->images[0].filename == "one_00001_.mp4");
  CHECK(saved->images[0].subfolder == "clips");
  const auto loaded = bench.run("LoadVideo", {{"file", text("clips/one_00001_.mp4 [output]")}});
  REQUIRE(loaded.has_value());
  const auto parts = bench.run("GetVideoComponents", {{"video", loaded->values[0]}});
  REQUIRE_MESSAGE(parts.has_value(), parts.error().message);
  CHECK(std::get<TensorPtr>(parts->values[0])->frames == 3);
  CHECK(std::holds_alternative<std::monostate>(parts->values[1]));
  CHECK(std::get<double>(parts->values[2]) == doctest::Approx(12));
}

TEST_CASE("a video that is not there, or none, is named as ComfyUI does") {
  Bench bench;
  CHECK(bench.failure("LoadVideo", {{"file", text("../secret.mp4")}}) == "av.error.FileNotFoundError");
  const auto components = [&](const char* name) {
    const auto loaded = bench.run("LoadVideo", {{"file", text(name)}});
    REQUIRE(loaded.has_value());
    return bench.failure("GetVideoComponents", {{"video", loaded->values[0]}});
  };
  CHECK(components("gone.mp4") == "av.error.FileNotFoundError");
  bench.home.write("input/text.mp4", "no video");
  CHECK(components("text.mp4") == "av.error.InvalidDataError");
}

TEST_CASE("a rectangle is an object of whole numbers") {
  Bench bench;
  const auto crop = [&](const char* box) {
    return bench.failure("ImageCropV2", {{"image", shared(pattern(8, 8))}, {"crop_region", text(box)}});
  };
  CHECK(crop(R"({"x":2,"y":3,"width":4,"height":900})") == "none");
  CHECK(crop("{}") == "none");
  CHECK(crop("5") == "AttributeError");
  CHECK(crop("no JSON") == "AttributeError");
  CHECK(crop(R"({"x":1.5})") == "TypeError");
  CHECK(crop(R"({"x":null})") == "TypeError");
  CHECK(crop(R"({"x":true,"width":1})") == "none");
}

TEST_CASE("a rectangle is one of Python's slices, and one without pixels cannot be shown") {
  Bench bench;
  // Width and first column of what is left of 20 x 30 pixels; width 0: a ValueError. As ComfyUI 0.21.0 does.
  struct Cut {
    std::int64_t x, width;
    std::uint32_t wide, from;
  };
  const std::vector<Cut> cuts{{0, 0, 0, 0},
                              {0, -1, 19, 0},
                              {3, -1, 0, 0},
                              {3, -3, 0, 0},
                              {3, -4, 16, 3},
                              {-5, 5, 0, 0},
                              {-5, 3, 3, 15},
                              {-25, 10, 5, 0},
                              {-25, 27, 2, 0},
                              {100, 5, 1, 19},
                              {0, -100, 0, 0},
                              {-1, 100, 1, 19},
                              {INT64_MIN, 3, 0, 0},
                              {INT64_MAX, INT64_MAX, 1, 19},
                              {INT64_MIN, INT64_MIN, 0, 0}};
  const Tensor source = pattern(20, 30);
  for (const Cut& cut : cuts) {
    CAPTURE(cut.x);
    CAPTURE(cut.width);
    for (const bool across : {true, false}) {
      const Tensor turned = across ? source : pattern(30, 20);
      const std::string box =
          across ? fmt::format(R"({{"x":{},"y":2,"width":{},"height":3}})", cut.x, cut.width)
                 : fmt::format(R"({{"x":2,"y":{},"width":3,"height":{}}})", cut.x, cut.width);
      const std::map<std::string, Value, std::less<>> inputs{{"image", shared(turned)}, {"crop_region", box}};
      if (cut.wide == 0) {
        CHECK(bench.failure("ImageCropV2", inputs) == "ValueError");
        continue;
      }
      const Tensor part = bench.tensor("ImageCropV2", inputs);
      CHECK((across ? part.width : part.height) == cut.wide);
      CHECK((across ? part.height : part.width) == 3);
      const std::size_t x = across ? cut.from : 2, y = across ? 2 : cut.from;
      CHECK(part.samples[0] == turned.samples[y * turned.row_length() + x * 3]);
    }
  }
}

TEST_CASE("a mask is shown as temporary pictures that say nothing of their prompt") {
  Bench bench;
  const auto shown =
      bench.run("MaskPreview", {{"mask", shared(Tensor{4, 4, 1, 1, std::vector<float>(16, 0.5F)})}});
  REQUIRE_MESSAGE(shown.has_value(), shown.error().message);
  REQUIRE(shown->images.size() == 1);
  CHECK(shown->images[0].type == "temp");
  CHECK(shown->animated == false);
  CHECK(image::read_png_texts(bench.home.read("temp/" + shown->images[0].filename)).empty());
}

TEST_CASE("a mask cannot be cut outside of itself, and growing it can be stopped") {
  Bench bench;
  const Value mask = shared(Tensor{4, 4, 1, 1, std::vector<float>(16, 0.5F)});
  CHECK(bench.failure(
            "CropMask",
            {{"mask", mask}, {"x", whole(4)}, {"y", whole(0)}, {"width", whole(1)}, {"height", whole(1)}}) ==
        "RuntimeError");
  bench.watch = FakeWatch(2);
  CHECK(
      bench.failure("GrowMask", {{"mask", mask}, {"expand", whole(-16384)}, {"tapered_corners", whole(1)}}) ==
      "interrupted");
}

TEST_CASE("a video file is packed anew only if another container or codec is asked for by name") {
  Bench bench;
  REQUIRE(bench.run("SaveWEBM", {{"images", shared(pattern(64, 64, 3))},
                                 {"filename_prefix", text("v")},
                                 {"codec", text("vp9")},
                                 {"fps", 24.0},
                                 {"crf", 40.0}}));
  const auto loaded = bench.run("LoadVideo", {{"file", text("v_00001_.webm [output]")}});
  REQUIRE(loaded.has_value());
  const auto facts = [&](const char* format, const char* codec) {
    const auto saved = bench.run("SaveVideo", {{"video", loaded->values[0]},
                                               {"filename_prefix", text("again")},
                                               {"format", text(format)},
                                               {"codec", text(codec)}});
    REQUIRE_MESSAGE(saved.has_value(), saved.error().message);
    const auto read = image::read_video_facts(bench.home.read("output/" + saved->images[0].filename));
    REQUIRE_MESSAGE(read.has_value(), read.error().what);
    CHECK(read->mp4);
    return *read;
  };
  CHECK_FALSE(facts("auto", "auto").h264);
  CHECK(facts("auto", "h264").h264);
  CHECK(facts("mp4", "auto").h264);
}
