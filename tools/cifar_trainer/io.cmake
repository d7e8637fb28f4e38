# cifar_trainer_io: what the trainer reads and downloads besides datasets; a library of its own, so that the
# tests can link it.
add_library(cifar_trainer_io STATIC
  archives.cpp digest.cpp download.cpp fetch.cpp image_file.cpp image_jpeg.cpp image_png.cpp known_files.cpp unpack.cpp)
target_include_directories(cifar_trainer_io PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(cifar_trainer_io
  PUBLIC fovea::fovea_static
  PRIVATE fovea_options CURL::libcurl OpenSSL::Crypto JPEG::JPEG LibArchive::LibArchive PNG::PNG
          ZLIB::ZLIB)
