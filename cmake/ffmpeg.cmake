# How tidemill-media gets FFmpeg: sets FFMPEG_LIBRARIES, FFMPEG_LINK_OPTIONS, and FFMPEG_ARCHIVES where it is linked
# from the archives of the -dev packages. The shared libraries bring in 130 others, which take 45 ms of CPU and 13 MiB for
# each job; from the archives come only the parts that core/media/child/linked.c lists.
set(FFMPEG_LIBRARIES PkgConfig::AV)
set(FFMPEG_LINK_OPTIONS "")

set(archives "")
foreach(name avformat avcodec swresample avutil)
  find_library(FFMPEG_${name} lib${name}.a HINTS ${AV_LIBRARY_DIRS})
  list(APPEND archives ${FFMPEG_${name}})
endforeach()
list(APPEND archives z bz2 m)

# Links a program that opens a file, with linked.c and what it needs.
function(ffmpeg_links result option)
  try_compile(${result}
    SOURCE_FROM_CONTENT open.c "#include <libavformat/avformat.h>\nint main(void) { return avformat_open_input(0, 0, 0, 0); }\n"
    SOURCES ${CMAKE_SOURCE_DIR}/core/media/child/linked.c
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${CMAKE_SOURCE_DIR}/core;${AV_INCLUDE_DIRS}" -DCMAKE_POSITION_INDEPENDENT_CODE=ON
    LINK_OPTIONS ${option}
    LINK_LIBRARIES ${archives})
endfunction()

ffmpeg_links(FFMPEG_ARCHIVES_PIE -pie)
if(NOT FFMPEG_ARCHIVES_PIE)
  ffmpeg_links(FFMPEG_ARCHIVES_NO_PIE -no-pie)
endif()
if(FFMPEG_ARCHIVES_PIE OR FFMPEG_ARCHIVES_NO_PIE)
  set(FFMPEG_ARCHIVES TRUE)
  set(FFMPEG_LIBRARIES ${archives})
endif()
if(FFMPEG_ARCHIVES_NO_PIE)
  # Debian 12's archives have assembly that needs a fixed address. So that nobody else knows it, each build directory
  # picks its own.
  if(NOT DEFINED FFMPEG_ADDRESS)
    string(RANDOM LENGTH 1 ALPHABET 123456 high)
    string(RANDOM LENGTH 4 ALPHABET 0123456789abcdef low)
    set(FFMPEG_ADDRESS 0x${high}${low}000 CACHE STRING "Where tidemill-media's code is linked to, below 2 GiB")
  endif()
  set(FFMPEG_LINK_OPTIONS -no-pie LINKER:-Ttext-segment=${FFMPEG_ADDRESS})
endif()
