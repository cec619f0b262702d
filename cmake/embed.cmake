# tide_embed_lua(TARGET FOLDER): compiles FOLDER/lua/**/* into TARGET as a table of sources,
#   const struct tide_embedded_lua <folder with _>_lua[];   ended by a NULL name
# (struct in script/embedded.h). Names are paths below lua/ without ".lua", with "/" as ".".
function(tide_embed_lua target folder)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/lua/*)
  if(NOT files OR NOT TARGET ${target})
    return()
  endif()
  string(REPLACE "/" "_" symbol ${folder})
  set(output ${CMAKE_BINARY_DIR}/embedded/${symbol}_lua.c)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DSYMBOL=${symbol}_lua
            -DROOT=${CMAKE_SOURCE_DIR}/${folder}/lua "-DFILES=${files}"
            -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake VERBATIM)
  target_sources(${target} PRIVATE ${output})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/core)
endfunction()
