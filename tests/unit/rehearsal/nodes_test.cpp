// SPDX-License-Identifier: MIT
// The nodes, called as the engine calls them.
#include <doctest/doctest.h>

#include <limits>

#include "comfy/object_info.hpp"
#include "fixtures.hpp"
#include "image/decode.hpp"
#include "image/encode.hpp"
#include "rehearsal/node.hpp"

using atelier::comfy::FileType;
using atelier::rehearsal::node_classes;
using atelier::rehearsal::NodeClass;
using atelier::rehearsal::object_info_text;
using atelier::rehearsal::Tensor;
using atelier::rehearsal::TensorPtr;
using atelier::rehearsal::Value;
using fixtures::Bench;
using fixtures::FakeWatch;
using fixtures::pattern;
namespace image = atelier::image;

namespace {

Value shared(Tensor tensor) { return std::make_shared<const Tensor>(std::move(tensor)); }

std::string png(std::uint32_t width, std::uint32_t height, const std::vector<std::uint8_t>& samples) {
  const auto channels = static_cast<std::uint32_t>(samples.size() / (std::size_t{width} * height));
  return *image::encode_png(image::FrameView{width, height, channels, samples.data()});
}

Value whole(std::int64_t value) { return value; }

}  // namespace

TEST_CASE("object_info of every node parses and names what the engine has") {
  const auto info = atelier::comfy::ObjectInfo::parse(object_info_text());
  REQUIRE_MESSAGE(info.has_value(), info.error().what);
  CHECK(info->size() == node_classes().size());
  for (const NodeClass& node : node_classes()) {
    CAPTURE(node.name);
    const auto* declared = info->find(node.name);
    REQUIRE(declared != nullptr);
    CHECK(declared->name == node.name);
    CHECK(declared->output_node == node.output_node);
  }
  CHECK(info->find("LoadImage")->find_input("image")->upload.image);
}

TEST_CASE("EmptyImage fills every picture of the batch with the colour") {
  Bench bench;
  const Tensor tensor = bench.tensor(
      "EmptyImage",
      {{"width", whole(3)}, {"height", whole(2)}, {"batch_size", whole(2)}, {"color", whole(0xFF8001)}});
  CHECK(tensor.frames == 2);
  CHECK(tensor.samples.size() == 3 * 2 * 2 * 3);
  CHECK(tensor.samples[0] == 1.0F);
  CHECK(tensor.samples[1] == static_cast<float>(128 / 255.0));
  CHECK(tensor.samples[35] == static_cast<float>(1 / 255.0));
}

TEST_CASE("more pixels than the engine holds are a RuntimeError") {
  Bench bench;
  const auto output = bench.run(
      "EmptyImage",
      {{"width", whole(16384)}, {"height", whole(16384)}, {"batch_size", whole(4096)}, {"color", whole(0)}});
  REQUIRE_FALSE(output.has_value());
  CHECK(output.error().type == "RuntimeError");
  const auto mask =
      bench.run("SolidMask", {{"width", whole(16384)}, {"height", whole(16384)}, {"value", 1.0}});
  CHECK_FALSE(mask.has_value());
}

TEST_CASE("LoadImage gives the colours and one minus alpha") {
  Bench bench;
  bench.home.write("input/a.png", png(2, 1, {10, 20, 30, 255, 40, 50, 60, 0}));
  const Tensor colours = bench.tensor("LoadImage", {{"image", std::string("a.png")}});
  CHECK(colours.samples ==
        std::vector<float>{10 / 255.0F, 20 / 255.0F, 30 / 255.0F, 40 / 255.0F, 50 / 255.0F, 60 / 255.0F});
  const Tensor mask = bench.tensor("LoadImage", {{"image", std::string("a.png")}}, 1);
  CHECK(mask.channels == 1);
  CHECK(mask.samples == std::vector<float>{0, 1});
}

TEST_CASE("LoadImage of a picture without alpha gives a mask of 64 x 64 zeros") {
  Bench bench;
  bench.home.write("output/sub/b.png", png(1, 1, {1, 2, 3}));
  const Tensor mask = bench.tensor("LoadImage", {{"image", std::string("sub/b.png [output]")}}, 1);
  CHECK(mask.width == 64);
  CHECK(mask.samples == std::vector<float>(64 * 64, 0.0F));
}

TEST_CASE("LoadImage names what is wrong with a file") {
  Bench bench;
  bench.home.write("input/text.png", "no picture");
  CHECK(bench.run("LoadImage", {{"image", std::string("text.png")}}).error().type ==
        "av.error.InvalidDataError");
  CHECK(bench.run("LoadImage", {{"image", std::string("gone.png")}}).error().type ==
        "av.error.FileNotFoundError");
  bench.home.write("secret.png", png(1, 1, {1, 2, 3}));
  CHECK(bench.run("LoadImage", {{"image", std::string("../secret.png")}}).error().type ==
        "av.error.FileNotFoundError");
}

TEST_CASE("SaveImage numbers on from the highest file there and writes the texts") {
  Bench bench;
  bench.metadata = {{"prompt", "{}"}, {"workflow", "{\"id\": 1}"}};
  bench.home.write("output/x/cat_00007_.png", "old");
  bench.home.write("output/x/cat_00002_.png", "old");
  bench.home.write("output/x/cat_more_00050_.png", "another stem");
  const auto output = bench.run(
      "SaveImage", {{"images", shared(pattern(4, 3, 2))}, {"filename_prefix", std::string("x/cat")}});
  REQUIRE(output.has_value());
  REQUIRE(output->images.size() == 2);
  CHECK(output->images[0].filename == "cat_00008_.png");
  CHECK(output->images[0].subfolder == "x");
  CHECK(output->images[0].type == "output");
  const std::string second = bench.home.read("output/x/cat_00009_.png");
  const auto texts = image::read_png_texts(second);
  REQUIRE(texts.size() == 2);
  CHECK(texts[1].key == "workflow");
  const auto back = image::decode_first(second);
  REQUIRE(back.has_value());
  CHECK(back->samples[0] == 5);  // the pattern's second frame begins with 5 / 255
}

TEST_CASE("SaveImage fills the size into the prefix and keeps tokens it does not know") {
  Bench bench;
  const auto output =
      bench.run("SaveImage", {{"images", shared(pattern(4, 3))},
                              {"filename_prefix", std::string("a%width%x%height%%seed%_%batch_num%")}});
  REQUIRE(output.has_value());
  CHECK(output->images[0].filename == "a4x3%seed%_0_00001_.png");
}

TEST_CASE("SaveImage outside the output folder fails as ComfyUI does") {
  Bench bench;
  for (const char* prefix : {"../../outside", "/etc/x", "a/../../x"}) {
    const auto output =
        bench.run("SaveImage", {{"images", shared(pattern(1, 1))}, {"filename_prefix", std::string(prefix)}});
    REQUIRE_FALSE(output.has_value());
    CHECK(output.error().type == "Exception");
    CHECK(output.error().message.find("outside the output folder is not allowed") != std::string::npos);
  }
  const auto inside = bench.run("SaveImage", {{"images", shared(pattern(1, 1))},
                                              {"filename_prefix", bench.home.folders.root + "/output/abs"}});
  REQUIRE(inside.has_value());
  CHECK(inside->images[0].filename == "abs_00001_.png");
}

TEST_CASE("SaveImage stops between the pictures of a batch and keeps those it has written") {
  Bench bench;
  bench.watch = FakeWatch(3);
  const auto output =
      bench.run("SaveImage", {{"images", shared(pattern(2, 2, 5))}, {"filename_prefix", std::string("p")}});
  REQUIRE_FALSE(output.has_value());
  CHECK(output.error().interrupted);
  CHECK(bench.home.folders.exists(FileType::output, "p_00002_.png"));
  CHECK_FALSE(bench.home.folders.exists(FileType::output, "p_00003_.png"));
}

TEST_CASE("PreviewImage writes into the temporary folder under its five letters") {
  Bench bench;
  const auto output = bench.run("PreviewImage", {{"images", shared(pattern(2, 2))}});
  REQUIRE(output.has_value());
  CHECK(output->images[0].filename == "ComfyUI_temp_abcde_00001_.png");
  CHECK(output->images[0].type == "temp");
  CHECK(bench.home.folders.exists(FileType::temp, "ComfyUI_temp_abcde_00001_.png"));
}

TEST_CASE("ImageScale follows the aspect where a size is 0") {
  Bench bench;
  const auto scale = [&](std::int64_t width, std::int64_t height, const char* crop) {
    return bench.tensor("ImageScale", {{"image", shared(pattern(10, 4))},
                                       {"upscale_method", std::string("area")},
                                       {"width", width},
                                       {"height", height},
                                       {"crop", std::string(crop)}});
  };
  CHECK(scale(0, 0, "disabled").width == 10);
  CHECK(scale(0, 3, "disabled").width == 8);   // 7.5, half to even
  CHECK(scale(0, 1, "disabled").width == 2);   // 2.5, half to even
  CHECK(scale(1, 0, "disabled").height == 1);  // 0.4, but at least 1
  CHECK(scale(5, 5, "center").height == 5);
}

TEST_CASE("inverting twice gives the picture back where single precision allows it") {
  Bench bench;
  const Tensor inverted = bench.tensor("ImageInvert", {{"image", shared(pattern(3, 3))}});
  CHECK(inverted.samples[4] == 1.0F - pattern(3, 3).samples[4]);
  Tensor mask{2, 1, 1, 1, {0.25F, 1.0F}};
  CHECK(bench.tensor("InvertMask", {{"mask", shared(mask)}}).samples == std::vector<float>{0.75F, 0.0F});
}

TEST_CASE("ImageCrop stays inside the picture") {
  Bench bench;
  const auto crop = [&](std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height) {
    return bench.tensor(
        "ImageCrop",
        {{"image", shared(pattern(6, 5))}, {"x", x}, {"y", y}, {"width", width}, {"height", height}});
  };
  const Tensor inner = crop(1, 2, 3, 2);
  CHECK(inner.width == 3);
  CHECK(inner.height == 2);
  CHECK(inner.samples[0] == pattern(6, 5).samples[(2 * 6 + 1) * 3]);
  const Tensor edge = crop(4, 4, 512, 512);
  CHECK(edge.width == 2);
  CHECK(edge.height == 1);
  const Tensor beyond = crop(9000, 9000, 10, 10);  // the last pixel
  CHECK(beyond.samples.size() == 3);
  CHECK(beyond.samples[0] == pattern(6, 5).samples[29 * 3]);
}

TEST_CASE("ImageBatch fits the second batch to the first") {
  Bench bench;
  const Tensor both =
      bench.tensor("ImageBatch", {{"image1", shared(pattern(4, 4, 2))}, {"image2", shared(pattern(8, 4))}});
  CHECK(both.frames == 3);
  CHECK(both.width == 4);
  // The middle 4 x 4 of the second, not resampled.
  CHECK(both.samples[2 * both.frame_length()] == pattern(8, 4).samples[2 * 3]);
  Tensor with_alpha{1, 1, 1, 4, {0.1F, 0.2F, 0.3F, 0.4F}};
  const Tensor mixed =
      bench.tensor("ImageBatch", {{"image1", shared(pattern(1, 1))}, {"image2", shared(with_alpha)}});
  CHECK(mixed.channels == 4);
  CHECK(mixed.samples[3] == 1.0F);
  CHECK(mixed.samples[7] == 0.4F);
}

TEST_CASE("masks become grey pictures") {
  Bench bench;
  const Tensor solid =
      bench.tensor("SolidMask", {{"value", 0.25}, {"width", whole(3)}, {"height", whole(2)}});
  CHECK(solid.samples == std::vector<float>(6, 0.25F));
  const Tensor grey = bench.tensor("MaskToImage", {{"mask", shared(Tensor{2, 1, 1, 1, {0.5F, 1.0F}})}});
  CHECK(grey.channels == 3);
  CHECK(grey.samples == std::vector<float>{0.5F, 0.5F, 0.5F, 1, 1, 1});
}
