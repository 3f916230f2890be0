// SPDX-License-Identifier: MIT
// The image process of `atelier serve`: it alone decodes pictures that people upload. Started by the server
// with a socket as descriptor 3; of no use by itself.
#include <cstdio>
#include <cstring>

#include "image/render.hpp"

int main(int argc, char** argv) {
  if (argc != 2 || std::strcmp(argv[1], "--socket=3") != 0) {
    std::fprintf(stderr,
                 "atelier-image is started by 'atelier serve'; there is nothing to do for it here.\n");
    return 2;
  }
  return atelier::image::serve_render_requests(3);
}
