#pragma once

#include <cstdio>
#include <string>

/// A header of a tar archive with the checksum that belongs to its other bytes.
inline std::string with_checksum(std::string header) {
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  char checksum[16];
  std::snprintf(checksum, sizeof(checksum), "%06o", sum & 0777777);
  header.replace(148, 6, checksum);
  header[154] = '\0';
  return header;
}

/// An entry of a tar archive, header and contents, as GNU tar writes it.
inline std::string tar_entry(const std::string& path, const std::string& contents, char type = '0') {
  std::string header(512, '\0');
  const auto put = [&](size_t offset, const std::string& text) { header.replace(offset, text.size(), text); };
  char size[32];
  std::snprintf(size, sizeof(size), "%011zo", contents.size());
  put(0, path.substr(0, 100));
  put(100, "0000644");
  put(124, size);
  put(136, "00000000000");
  header[156] = type;
  put(257, "ustar  ");
  return with_checksum(header) + contents + std::string((512 - contents.size() % 512) % 512, '\0');
}

inline std::string tar_end() {
  return std::string(1024, '\0');
}
